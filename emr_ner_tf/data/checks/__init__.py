"""Checks of annotated records: what a reader accepts and a corpus should still not contain."""
