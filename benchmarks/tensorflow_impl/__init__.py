"""This project's side of each comparison, as a worker process."""
