"""Scores predictions against annotation: exact and relaxed match by label; the lookup baseline."""
