"""Encoders in the Hugging Face layout, on keras-nlp and on transformers."""
