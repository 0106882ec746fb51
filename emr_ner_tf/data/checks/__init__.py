"""Checks of annotated records: likely mistakes in records that readers accept."""
