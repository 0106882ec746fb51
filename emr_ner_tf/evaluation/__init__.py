"""Scores predictions against annotation: exact and relaxed match by type; the lookup baseline."""
