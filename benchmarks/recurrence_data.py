"""Weights and inputs that every side of `recurrence.py` computes with."""

import numpy as np

# Number of gates, by cell.
CELLS = {"gru": 3, "lstm": 4}


def weights_of(cell: str, units: int) -> list[np.ndarray]:
    """Returns kernel [U, GU], recurrent kernel [U, GU] and bias ([2, GU] or [GU]) of both directions, as Keras does."""
    random, width = np.random.default_rng(1), CELLS[cell] * units
    shapes = [[units, width], [units, width], [2, width] if cell == "gru" else [width]] * 2
    return [(random.standard_normal(shape) / np.sqrt(units)).astype(np.float32) for shape in shapes]


def inputs_of(batch: int, time: int, units: int) -> np.ndarray:
    """float32 [B, T, U]."""
    return np.random.default_rng(2).standard_normal([batch, time, units]).astype(np.float32)
