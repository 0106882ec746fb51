"""A bundle's version for the loaders, records, and what Python finds in them."""

import os
import pathlib
import subprocess

import pytest
from framing import (
    check,
    corpus_texts,
    expected,
    frame,
    hard_records,
    real_records,
    run,
    run_raw,
    run_streams,
)
from full_model_fixtures import bundles, trained

__all__ = ["bundles", "trained"]

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
    """Hard records, and what `Bundle.predict` finds in them."""
    from emr_ner_tf.exporting.bundle import Bundle

    records = hard_records(corpus_texts(corpus), malformed=True)
    wanted = expected(Bundle(version), records)
    assert sum(map(len, wanted)) > 50, "what is compared would be nothing with nothing"
    return records, wanted


@pytest.fixture(scope="session")
def real(version, shared):
    """100 real records, and what `Bundle.predict` finds in them."""
    from emr_ner_tf.exporting.bundle import Bundle

    records = real_records(shared)
    wanted = expected(Bundle(version), records)
    assert len(records) == 100
    assert sum(map(len, wanted)) > 50
    return records, wanted


@pytest.fixture(scope="session")
def failing(made_once):
    """A model of the contract's signature that fails at a text that is no number, and says the text."""
    import tensorflow as tf

    class Failing(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def entities(self, text):
            score = tf.strings.to_number(text)[:, None]
            number = tf.cast(score, tf.int32)
            places = {"num_entities": number[:, 0], "start": number, "end": number}
            return places | {"label": text[:, None], "mention": text[:, None], "score": score}

    def make(folder):
        module = Failing()
        tf.saved_model.save(module, str(folder), signatures={"serving_default": module.entities})

    return made_once("failing", make)


@pytest.fixture(scope="session")
def check_loader(version, hard, failing, tmp_path_factory):
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
        with open("/dev/full", "wb") as full:
            texts = frame([b"text"] * 2)
            done = run_streams([*command, version], input=texts, stdout=full)
        assert done.returncode == 1
        assert b"loader: " in done.stderr
        assert b"Traceback" not in done.stderr
        folder = os.open(version, os.O_RDONLY)
        try:
            done = run_streams([*command, version], stdin=folder, stdout=subprocess.PIPE)
        finally:
            os.close(folder)
        assert (done.returncode, done.stdout) == (1, b""), "what cannot be read is no end of the input"
        done = run_raw([*command, failing], frame(["秘密".encode()]))
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"serving_default failed with " in done.stderr
        assert "秘".encode() not in done.stderr

    same.faults = faults
    return same
