"""`annotate` finds the same entities in a file of any encoding."""

import json

from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import read_documents


def test_entities_do_not_depend_on_the_encoding(cli, bundles, corpus, tmp_path):
    texts = [document.text for document in read_documents(corpus / "test.jsonl")][:3]
    lines = "\n".join(texts) + "\n"
    found = {}
    for encoding in ("utf-8", "utf-8-sig", "gb18030"):
        path = tmp_path / f"{encoding}.txt"
        path.write_bytes(lines.encode(encoding))
        options = FormatOptions(encoding=encoding)
        assert [one.text for one in read_documents(path, format="text", options=options)] == texts
        flags = [f"--encoding={encoding}"] if encoding == "gb18030" else []
        output = tmp_path / f"{encoding}.jsonl"
        done = cli(
            "annotate",
            f"--bundle={bundles}",
            f"--input={path}",
            "--format=text",
            f"--output={output}",
            *flags,
        )
        assert done.returncode == 0, done.stderr
        records = map(json.loads, output.read_text(encoding="utf-8").splitlines())
        found[encoding] = [(record["originalText"], record["entities"]) for record in records]
    assert found["gb18030"] == found["utf-8-sig"] == found["utf-8"]
    assert [text for text, _ in found["gb18030"]] == texts
    assert any(entities for _, entities in found["gb18030"])
