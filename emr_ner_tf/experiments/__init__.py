"""The paper's tables: its figures, runs of every row, statistics over them, and the report."""
