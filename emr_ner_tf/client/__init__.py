"""Clients of TensorFlow Serving and of the development server, over gRPC and REST."""
