"""A server for the examples."""

from serving_fixtures import serve, server

__all__ = ["serve", "server"]
