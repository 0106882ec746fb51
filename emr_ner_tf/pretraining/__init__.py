"""Pre-training of encoders on unlabelled text: the tasks, their data and their models."""
