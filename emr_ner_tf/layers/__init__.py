"""Layers of the tagger that Keras lacks: the conditional random field and the two attentions."""
