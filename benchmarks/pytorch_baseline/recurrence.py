"""A bidirectional GRU or LSTM in PyTorch, as a worker process."""

import time
from typing import Any

import numpy as np
import torch
from harness import Handlers, serve
from recurrence_data import CELLS, inputs_of, weights_of
from torch import nn

from pytorch_baseline.model import start_torch


def load(units: int, threads: int) -> Handlers:
    """Builds both layers.

    Args:
        units: of each direction, and width of the inputs.
        threads: of PyTorch.
    """
    start_torch(threads)
    layers = {cell: _directions(cell, units) for cell in CELLS}

    def run(cell: str, backward: bool, inputs: torch.Tensor) -> torch.Tensor:
        ahead, back = layers[cell]
        with torch.inference_mode(not backward):
            # Two layers, as in the benchmark's model: the backward pass of one bidirectional layer is slower.
            outputs = torch.cat([ahead(inputs)[0], back(inputs.flip(1))[0].flip(1)], -1)
        if not backward:
            return outputs
        for layer in (ahead, back):
            layer.zero_grad()
        inputs.grad = None
        outputs.sum().backward()
        return inputs.grad

    def tensor(backward: bool, batch: int, time_steps: int) -> torch.Tensor:
        return torch.from_numpy(inputs_of(batch, time_steps, units)).requires_grad_(backward)

    def check(cell: str, backward: bool, batch: int, time_steps: int) -> dict[str, Any]:
        result = run(cell, backward, tensor(backward, batch, time_steps))
        return {"sums": [float(np.abs(result.numpy()).sum(dtype=np.float64))]}

    def measure(cell: str, backward: bool, batch: int, time_steps: int, repeats: int) -> dict[str, Any]:
        inputs = tensor(backward, batch, time_steps)
        started = time.perf_counter()
        for _ in range(repeats):
            run(cell, backward, inputs)
        return {"seconds": (time.perf_counter() - started) / repeats}

    return {"check": check, "measure": measure}


def _directions(cell: str, units: int) -> list[nn.Module]:
    make, weights = nn.GRU if cell == "gru" else nn.LSTM, weights_of(cell, units)
    layers = []
    for kernel, recurrent, bias in (weights[:3], weights[3:]):
        # PyTorch has the GRU's gates in the order r, z, h, and a second bias in the LSTM too.
        biases = bias if cell == "gru" else np.stack([bias, np.zeros_like(bias)])
        values = [kernel.T, recurrent.T, *biases]
        if cell == "gru":
            values = [np.concatenate([v[units : 2 * units], v[:units], v[2 * units :]]) for v in values]
        layer = make(units, units, batch_first=True)
        with torch.no_grad():
            for parameter, value in zip(layer.parameters(), values, strict=True):
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
        layers.append(layer)
    return layers


if __name__ == "__main__":
    serve(load)
