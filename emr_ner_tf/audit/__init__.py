"""The audit: annotations that are improbable under a model that has not seen their record."""
