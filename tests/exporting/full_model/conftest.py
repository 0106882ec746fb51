"""Bundles of the full model."""

from full_model_fixtures import bundle, bundles, restored, trained

__all__ = ["bundle", "bundles", "restored", "trained"]
