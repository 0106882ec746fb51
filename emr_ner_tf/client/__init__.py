"""Clients of a server that speaks TensorFlow Serving's protocols."""
