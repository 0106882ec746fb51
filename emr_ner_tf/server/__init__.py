"""A server for development that speaks TensorFlow Serving's protocols."""
