"""The clients' retries: which failures are repeated, and for how long."""

import time

import pytest
import tenacity

from emr_ner_tf.client.options import ServingError, TlsHandshakeError
from emr_ner_tf.client.retry import retry_policy


class _Server:
    def __init__(self, *failures, takes_s=0.0):
        self.failures, self.takes_s, self.calls = list(failures), takes_s, 0

    def __call__(self):
        self.calls += 1
        time.sleep(self.takes_s)
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def _away(kind=ServingError, code="UNAVAILABLE"):
    return kind("localhost:1", code, "away")


def test_unavailable_is_repeated():
    server = _Server(_away(), _away())
    assert tenacity.Retrying(**retry_policy(30.0))(server) == "answer"
    assert server.calls == 3


@pytest.mark.parametrize(
    "failure", [_away(code="NOT_FOUND"), _away(TlsHandshakeError), ValueError("no failure of a server")]
)
def test_other_failures_are_not_repeated(failure):
    server = _Server(failure)
    with pytest.raises(type(failure)) as raised:
        tenacity.Retrying(**retry_policy(30.0))(server)
    assert raised.value is failure
    assert server.calls == 1


def test_a_timeout_of_0_never_repeats():
    server = _Server(_away())
    with pytest.raises(ServingError):
        tenacity.Retrying(**retry_policy(0.0))(server)
    assert server.calls == 1


def test_the_time_counts_from_the_first_failure():
    server = _Server(_away(), takes_s=0.4)
    assert tenacity.Retrying(**retry_policy(0.3))(server) == "answer"
    assert server.calls == 2


def test_the_last_failure_is_raised_when_the_time_is_over():
    server = _Server(*(_away() for _ in range(100)))
    begun = time.monotonic()
    with pytest.raises(ServingError, match="UNAVAILABLE"):
        tenacity.Retrying(**retry_policy(0.5))(server)
    assert server.calls >= 2
    assert 0.5 <= time.monotonic() - begun < 5
