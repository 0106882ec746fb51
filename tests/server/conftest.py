"""The servers that the tests of the server share with others."""

from serving_fixtures import (
    local,
    models,
    request_of,
    serve,
    server,
    stub,
    stub_of,
    toy_server,
    toy_versions,
    toys,
)

__all__ = [
    "local",
    "models",
    "request_of",
    "serve",
    "server",
    "stub",
    "stub_of",
    "toy_server",
    "toy_versions",
    "toys",
]
