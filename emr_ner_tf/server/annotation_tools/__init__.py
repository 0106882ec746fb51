"""Endpoints in the forms that annotation tools ask for suggestions: Label Studio, doccano, INCEpTION."""
