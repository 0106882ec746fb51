"""The synthetic corpus: records generated from templates and terms."""
