"""From texts to documents with entities, in batches, whatever finds the entities."""
