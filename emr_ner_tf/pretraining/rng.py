"""Random numbers of pre-training, as a function of seed, purpose and epoch."""

import numpy as np

PAIRS, MASKS = 1, 2
# The epoch of held-out text, which is the same for every measurement.
HELDOUT = 2**32 - 1


def random_stream(seed: int, purpose: int, epoch: int) -> np.random.Generator:
    """Returns a generator that starts the same for the same arguments.

    Args:
        seed: seed of the run.
        purpose: one of the constants above; the plan of batches uses 0.
        epoch: below 2**32.
    """
    return np.random.Generator(np.random.Philox(key=[seed, (purpose << 48) + epoch]))
