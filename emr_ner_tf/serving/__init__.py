"""Serving: the local development server, and clients of it and of TensorFlow Serving."""
