"""The audit: annotations that a model, which has not seen their record, finds improbable."""
