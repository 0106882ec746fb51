"""The full model: its memory is what the documents say."""

from full_model_fixtures import bundles, trained
from loaded_model_fixtures import bundle

__all__ = ["bundle", "bundles", "trained"]
