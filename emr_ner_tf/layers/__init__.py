"""Layers that Keras lacks: the CRF, attention, recurrence with its own gradient, convolutions, the Lattice LSTM."""
