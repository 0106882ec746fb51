"""The servers that the tests of the client share with others."""

import pytest
from certificates import issue_all
from serving_fixtures import local, models, request_of, serve, server, stub, stub_of, toy_versions, toys


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """The folder of the pairs that `issue_all` writes."""
    return issue_all(tmp_path_factory.mktemp("certificates"))


__all__ = ["local", "models", "request_of", "serve", "server", "stub", "stub_of", "toy_versions", "toys"]
