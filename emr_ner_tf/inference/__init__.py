"""The annotation of texts and files, whatever finds the entities."""
