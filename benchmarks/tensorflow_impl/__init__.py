"""This project's side of each comparison, as a worker process."""

# Before TensorFlow, as in every command: it sets variables that TensorFlow reads when it is imported.
import emr_ner_tf  # noqa: F401
