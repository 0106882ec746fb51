"""The fixtures of a tiny model and of its bundle, for folders whose tests need every part of the full model."""

import pytest


@pytest.fixture(scope="session")
def trained(train_tiny, tiny_flags):
    """The directory of a tiny model with BERT, a BiGRU and multi-head attention."""
    return train_tiny("full_trained", tiny_flags)


@pytest.fixture(scope="session")
def bundles(export_tiny, trained):
    """The directory of its bundle."""
    return export_tiny("full_bundles", trained)
