"""The same architecture in PyTorch, written as a careful user of PyTorch would write it."""
