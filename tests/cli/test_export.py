"""`export`: the flags about the records of --verify_on."""

import pytest

from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents


@pytest.fixture
def table(corpus, tmp_path):
    """The records of `corpus` as a CSV table in GB18030, with a column name that looking does not find."""
    path = tmp_path / "records.csv"
    write_documents(path, read_documents(corpus / "test.jsonl"), "csv")
    text = path.read_bytes().decode("utf-8-sig")
    path.write_bytes(text.replace("text", "住院经过", 1).encode("gb18030"))
    return path


def test_verify_on_a_table_in_another_encoding(cli, trained, bundle, corpus, table, tmp_path):
    found = list(bundle.annotate(list(read_documents(corpus / "test.jsonl"))))
    done = cli(
        *("export", f"--model_dir={trained}", f"--output={tmp_path}/bundles", f"--verify_on={table}"),
        *("--format=csv", "--encoding=gb18030", "--text_column=住院经过"),
    )
    assert done.returncode == 0, done.stderr
    entities = sum(len(document.entities) for document in found)
    assert f"finds the same {entities} entities in {len(found)} records" in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--encoding=gb18030", "--format=conll"], "records.csv:1: a line must have 2 to 4 columns"),
        (["--encoding=gb18030", "--format=ccks2019"], "records.csv: the file looks like plain text"),
        (["--format=csv"], "records.csv:1: the line is not valid UTF-8"),
    ],
)
def test_wrong_flags_name_the_file_and_the_line(cli, trained, table, tmp_path, flags, message):
    output = tmp_path / "bundles"
    done = cli("export", f"--model_dir={trained}", f"--output={output}", f"--verify_on={table}", *flags)
    assert done.returncode == 1
    assert message in done.stderr, done.stderr
    assert not output.exists()
