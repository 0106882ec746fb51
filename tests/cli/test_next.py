"""The next command: what it selects, in which format, and what it refuses."""

import json


def _lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_selects_uncertain_records(cli, trained, corpus, tmp_path):
    output, pool = tmp_path / "next.jsonl", corpus / "test.jsonl"
    known = tmp_path / "known.jsonl"
    known.write_text(pool.read_text(encoding="utf-8").splitlines()[0], encoding="gb18030")
    done = cli(
        *("next", f"--model_dir={trained}", f"--input={pool}", f"--known={known}"),
        *("--known_format=ccks2019", "--known_options=encoding=gb18030"),
        *("--count=5", f"--output={output}"),
    )
    assert done.returncode == 0, done.stderr
    assert "5 of 16 records selected" in done.stderr
    selected, records = _lines(output), _lines(pool)
    ids = [record["id"] for record in selected]
    assert len(set(ids)) == 5
    assert records[0]["id"] not in ids
    assert all("score" in mention for record in selected for mention in record["entities"])
    texts = {record["id"]: record["originalText"] for record in records}
    assert all(texts[record["id"]] == record["originalText"] for record in selected)


def test_raw_records_to_an_annotation_tool(cli, trained, tmp_path):
    pool, output = tmp_path / "pool.txt", tmp_path / "tasks.json"
    pool.write_text("患者头痛三天。\n患者头痛三天。\n予头孢哌酮静滴。\n", encoding="utf-8")
    done = cli(
        *("next", f"--model_dir={trained}", f"--input={pool}", "--format=text", f"--output={output}"),
        "--to=label_studio",
    )
    assert done.returncode == 0, done.stderr
    tasks = json.loads(output.read_text(encoding="utf-8"))
    assert [task.keys() for task in tasks] == [{"data", "predictions"}] * 2
    assert "100 records were asked for, and 1 of the 3 of the input are near-duplicates" in done.stderr


def test_known_records_have_format_flags_of_their_own(cli, tmp_path):
    pool, known, output = (tmp_path / name for name in ("pool.txt", "known.csv", "out.jsonl"))
    pool.write_text("患者头痛三天。\n", encoding="utf-8")
    known.write_text("编号,病历\n1,予头孢哌酮静滴。\n", encoding="gb18030")
    call = ("next", f"--model_dir={tmp_path}", f"--input={pool}", "--format=text", f"--output={output}")
    for options, status, said in (
        (["--known_options=encoding=gb18030"], 2, "--known_format and --known_options require --known"),
        (["--known_format=csv"], 2, "--known_format and --known_options require --known"),
        ([f"--known={known}", "--known_options=colour=red"], 1, "--known_options must be NAME=VALUE"),
        ([f"--known={known}", "--known_format=csv"], 1, "read it with --known_options=encoding=gb18030, or"),
        (
            [f"--known={known}", "--known_options=encoding=gb18030"],
            *(1, "name the column of the texts: --known_options=text_column=NAME"),
        ),
        # The known records are read; the directory has no model.
        (
            [f"--known={known}", "--known_options=encoding=gb18030,text_column=病历"],
            1,
            "config.json: no such",
        ),
    ):
        done = cli(*call, *options)
        assert done.returncode == status
        assert said in done.stderr


def test_what_is_refused(cli, trained, tmp_path):
    pool = tmp_path / "pool.jsonl"
    pool.write_text("", encoding="utf-8")
    done = cli("next", f"--model_dir={trained}", f"--input={pool}", f"--output={pool}")
    assert done.returncode == 1
    assert "is an input" in done.stderr
    done = cli("next", f"--model_dir={trained}", f"--input={pool}", f"--output={tmp_path}/out.jsonl")
    assert done.returncode == 1
    assert "must contain records to select from" in done.stderr
