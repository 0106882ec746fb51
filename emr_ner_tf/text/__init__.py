"""The one text path, in TensorFlow operations: characters, windows, and entities from tags."""
