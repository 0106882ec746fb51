"""Annotation formats: each has a module, `table` lists them, and `detection` finds the format of a file."""
