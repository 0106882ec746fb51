"""The command serve through its flags; tests/server and tests/client send it requests."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--bundle"),
        (("--bundle=x", "--port=70000"), "port"),
        (("--bundle=x", "--label=stable"), "--label must be LABEL:VERSION, got 'stable'"),
        (("--bundle=x", "--tls_cert=a.pem"), "--tls_cert and --tls_key must be given together"),
        (("--bundle=x", "--tls_client_ca=a.pem"), "--tls_client_ca requires --tls_cert and --tls_key"),
        (("--bundle=x", "--threads=0"), "threads"),
        (("--bundle=x", "--label=a:9223372036854775808"), "a version must be at most 9223372036854775807"),
        (("--bundle=x", "--label=a:1", "--label=a:2"), "'a' is given twice"),
        (("--bundle=x", "--model_name=a/b"), "--model_name must not be empty or contain / or :"),
        (("--bundle=x", "--poll_s=nan"), "--poll_s=nan: it must be a finite number"),
        (("--bundle=x", "--page", "--rest_port=-1"), "require a REST port"),
        (("--bundle=x", "--more_model=ner"), "--more_model must be NAME:DIRECTORY, got 'ner'"),
        (("--bundle=x", "--more_model=ner:y"), "'ner' is given twice"),
        (("--bundle=x", "--host="), "--host must not be empty"),
        (("--bundle=x", "--cors_origin=*", "--rest_port=-1"), "--cors_origin require a REST port"),
        (
            ("--bundle=x", "--cors_origin=*", "--cors_origin=example.org"),
            "without a path, got 'example.org'",
        ),
        (("--bundle=x", "--cors_origin=https://example.org/"), "got 'https://example.org/'"),
    ],
)
def test_a_wrong_call(cli, flags, message):
    done = cli("serve", *flags)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_teaches(cli):
    done = cli("serve", "--help")
    assert done.returncode == 0
    for word in ("in production, use TensorFlow Serving", "curl", "--tls_client_ca", "--max_requests"):
        assert word in done.stdout


def test_a_bundle_needs_nothing_of_what_trained_it():
    code = """
import sys
import emr_ner_tf.server.server
print(*sorted({"transformers", "keras_nlp", "tensorflow_addons", "tensorflow_text"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
