"""A day without records: commands that write records write none, and say so."""

import pytest


@pytest.mark.parametrize("format", ["ccks2019", "text"])
def test_annotate(cli, bundles, tmp_path, format):
    path, output = tmp_path / "in", tmp_path / "out.jsonl"
    path.write_bytes(b"\n")
    done = cli(
        "annotate", f"--bundle={bundles}", f"--input={path}", f"--format={format}", f"--output={output}"
    )
    assert done.returncode == 0, done.stderr
    assert f"{path}: the file holds no record" in done.stderr
    assert output.read_bytes() == b""


def test_annotate_of_another_format(cli, bundles, tmp_path):
    path, output = tmp_path / "in", tmp_path / "out.jsonl"
    path.write_text("患\tO\n者\tO\n", encoding="utf-8")
    for format in ("ccks2019", "text"):
        done = cli(
            "annotate", f"--bundle={bundles}", f"--input={path}", f"--format={format}", f"--output={output}"
        )
        assert done.returncode == 1
        assert f"{path}: the file looks like BIO columns" in done.stderr
        assert "emr-ner data convert" in done.stderr
        assert not output.exists()
