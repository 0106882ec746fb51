"""Taggers (encoder, context, attention, emissions, CRF) and the table of the paper's systems."""
