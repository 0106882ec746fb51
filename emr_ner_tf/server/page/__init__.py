"""The page to try the models in a browser."""
