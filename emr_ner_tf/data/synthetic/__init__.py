"""The synthetic corpus: records put together from templates and terms."""
