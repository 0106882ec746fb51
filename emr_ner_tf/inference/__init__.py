"""The annotation of texts and files by any `Annotator`."""
