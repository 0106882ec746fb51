"""Scores of annotated documents: exact and relaxed match, by type; the lookup baseline."""
