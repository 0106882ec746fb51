"""Annotation formats: one module for each, `table` lists them, `detection` finds the one a file is in."""
