"""The full model: its memory is what the documents say."""

from full_model_fixtures import bundle, bundles, trained

__all__ = ["bundle", "bundles", "trained"]
