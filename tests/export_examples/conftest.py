"""A bundle's version for the loaders, records, and what Python finds in them."""

import pathlib

import pytest
from framing import check, corpus_texts, expected, frame, hard_records, real_records, run, run_raw

EXAMPLES = pathlib.Path(__file__).parents[2] / "export/examples"


@pytest.fixture(scope="session")
def examples():
    """The folder of the examples."""
    return EXAMPLES


@pytest.fixture(scope="session")
def version(bundles):
    """The directory of the tiny model's one version."""
    return bundles / "1"


@pytest.fixture(scope="session")
def hard(version, corpus):
    """Hard records, and what `Bundle.tag_texts` finds in them."""
    from emr_ner_tf.exporting.bundle import Bundle

    records = hard_records(corpus_texts(corpus), malformed=True)
    wanted = expected(Bundle(version), records)
    assert sum(map(len, wanted)) > 50, "what is compared would be nothing with nothing"
    return records, wanted


@pytest.fixture(scope="session")
def real(version, shared):
    """100 real records, and what `Bundle.tag_texts` finds in them."""
    from emr_ner_tf.exporting.bundle import Bundle

    records = real_records(shared)
    wanted = expected(Bundle(version), records)
    assert len(records) == 100
    assert sum(map(len, wanted)) > 50
    return records, wanted


@pytest.fixture(scope="session")
def check_loader(version, hard, tmp_path_factory):
    """The function that drives a loader over hard records and through every fault."""

    def same(command, **options):
        records, wanted = hard
        check(run([*command, version], records), wanted, **options)

    def faults(command):
        assert run_raw(command, b"").returncode == 2
        absent = tmp_path_factory.mktemp("absent") / "absent"
        done = run_raw([*command, absent], frame([b"text"]))
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"absent" in done.stderr
        for broken in (b"-1\n", b"1234567890\n", "7\n秘密".encode()):
            done = run_raw([*command, version], broken)
            assert done.returncode == 1, broken
            assert done.stdout == b""
            assert b"standard input: record 0: must " in done.stderr
            assert "秘".encode() not in done.stderr

    same.faults = faults
    return same
