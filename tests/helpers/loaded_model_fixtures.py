"""The bundle and the model of whichever `bundles` and `trained` a folder has.

Each folder with others than its parent's imports them, too: pytest keeps a fixture's value by where it was defined.
"""

import pytest


@pytest.fixture(scope="session")
def bundle(bundles):
    """The bundle of `bundles`, loaded once in each test process."""
    from emr_ner_tf.exporting.bundle import Bundle

    return Bundle(bundles)


@pytest.fixture(scope="session")
def restored(trained):
    """The model of `trained` in this process, once in each test process; no test changes its weights."""
    from emr_ner_tf.training.loading import restore

    return restore(trained)[0]
