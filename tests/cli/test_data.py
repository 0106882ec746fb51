"""The command data through its flags: output, files, errors."""

import json
import subprocess
import sys

import pytest

TEXT = "左肾结石，予头孢。"
STONE = {"label_type": "疾病和诊断", "overlap": 0, "start_pos": 0, "end_pos": 4}
DRUG = {"label_type": "药物", "overlap": 0, "start_pos": 6, "end_pos": 8}


def _record(*entities, **keys):
    return keys | {"originalText": TEXT, "entities": list(entities)}


def _write(path, *records):
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def _read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _good(done):
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def records(tmp_path):
    return _write(tmp_path / "in.jsonl", *(_record(STONE, DRUG, id=i) for i in range(10)))


@pytest.fixture
def mixed(tmp_path):
    bad = _record(STONE, DRUG | {"end_pos": 412})
    return _write(
        tmp_path / "in.jsonl", _record(STONE, id="a"), bad, b"\xff\xfe", b"{", _record(DRUG, id="b")
    )


def test_validate(cli, records):
    done = _good(cli("data", "validate", f"--input={records}"))
    assert done.stdout == "10 good records with 20 mentions\n"


def test_validate_lists_every_bad_record_and_no_text(cli, mixed, tmp_path):
    output = tmp_path / "out.jsonl"
    at = mixed.read_bytes().index(b"\xff")
    done = cli("data", "validate", f"--input={mixed}", f"--output={output}")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{mixed}:2: entity 2: `end_pos`=412 is past the end of the text (9 characters)",
        f"{mixed}:3: the line is not valid UTF-8: 0xff at byte 0 of the line, {at} of the file, from 0",
        f"{mixed}:4: the line is not JSON: Expecting property name enclosed in double quotes at column 2",
        "3 of 5 records are bad",
    ]
    assert done.stdout == ""
    assert not output.exists()


def test_validate_skip_writes_the_good_and_the_rejected(cli, mixed, tmp_path):
    output = tmp_path / "out.jsonl"
    done = _good(cli("data", "validate", f"--input={mixed}", "--on_error=skip", f"--output={output}"))
    assert "3 records rejected" in done.stderr
    assert done.stdout == "2 good records with 2 mentions\n"
    assert _read(output) == [_record(STONE, id="a"), _record(DRUG, id="b")]
    rejects = _read(tmp_path / "out.jsonl.rejects.jsonl")
    assert [reject["line"] for reject in rejects] == [2, 3, 4]
    assert rejects[0]["value"] == "412"
    assert json.loads(rejects[0]["record"]) == _record(STONE, DRUG | {"end_pos": 412})


def test_validate_counts_repeated_ids(cli, tmp_path):
    path = _write(tmp_path / "in.jsonl", _record(id=1), _record(id="1"), _record(id=2), _record())
    assert (
        "1 records have the id of an earlier record"
        in _good(cli("data", "validate", f"--input={path}")).stderr
    )


def test_records_without_entities(cli, tmp_path):
    path = _write(tmp_path / "in.jsonl", {"originalText": TEXT})
    assert cli("data", "validate", f"--input={path}").returncode == 1
    _good(cli("data", "validate", f"--input={path}", "--noannotated"))


def test_overlaps(cli, tmp_path):
    path = _write(tmp_path / "in.jsonl", _record(STONE, STONE | {"end_pos": 2}))
    done = cli("data", "stats", f"--input={path}")
    assert (done.returncode, done.stderr) == (
        1,
        f"{path}:1: entity 1: `start_pos`=0 overlaps entity 2, which goes from 0 to 2; use --overlaps=longest, which "
        "keeps the longest of them (in training: --config.data.overlaps=longest)\n",
    )
    done = _good(cli("data", "stats", f"--input={path}", "--overlaps=longest", "--json"))
    assert json.loads(done.stdout)["mentions"] == 1
    assert "1 mentions left out" in done.stderr


def test_labels(cli, tmp_path):
    path = _write(tmp_path / "in.jsonl", _record(STONE | {"label_type": "病"}))
    done = cli("data", "stats", f"--input={path}")
    assert done.returncode == 1
    assert "entity 1: `label_type`='病' is not one of the labels 疾病和诊断, 影像检查" in done.stderr
    assert "; use --labels=infer" in done.stderr
    done = _good(cli("data", "stats", f"--input={path}", "--labels=infer", "--json"))
    assert list(json.loads(done.stdout)["labels"]) == ["病"]
    names = tmp_path / "labels.txt"
    names.write_text("药\n病\n", encoding="utf-8")
    done = _good(cli("data", "stats", f"--input={path}", f"--labels={names}", "--json"))
    assert list(json.loads(done.stdout)["labels"]) == ["药", "病"]


def test_validate_gives_each_remedy_once(cli, tmp_path):
    odd, twice = _record(STONE | {"label_type": "病"}), _record(STONE, STONE)
    path = _write(tmp_path / "in.jsonl", odd, twice, odd, _record(STONE))
    done = cli("data", "validate", f"--input={path}")
    assert done.returncode == 1
    *listed, last = done.stderr.splitlines()
    assert len(listed) == 3
    assert not any("use --" in line for line in listed)
    assert last.startswith("3 of 4 records are bad; for 2 of them, use --labels=infer")
    assert last.count("use --labels=infer") == last.count("use --overlaps=longest") == 1


def test_a_label_only_inside_longer_mentions(cli, tmp_path):
    inner = {"label_type": "部位", "start_pos": 0, "end_pos": 2}
    path = _write(tmp_path / "in.jsonl", _record(STONE, inner))
    flags = (f"--input={path}", "--labels=infer", "--overlaps=longest")
    done = _good(cli("data", "stats", *flags, "--json"))
    assert {label: figures["mentions"] for label, figures in json.loads(done.stdout)["labels"].items()} == {
        "疾病和诊断": 1,
        "部位": 0,
    }


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_array_is_read(cli, tmp_path, indent):
    path = tmp_path / "in.json"
    path.write_text(json.dumps([_record(STONE)] * 30, indent=indent), encoding="utf-8")
    for word, *flags in (("validate",), ("stats", "--labels=infer"), ("convert", f"--output={tmp_path}/out")):
        _good(cli("data", word, f"--input={path}", *flags))
    assert (tmp_path / "out").read_text(encoding="utf-8").count("B-") == 30


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_files_without_records(cli, tmp_path, content):
    path, output = tmp_path / "in.jsonl", tmp_path / "out"
    path.write_bytes(content)
    for word, *flags in (("validate",), ("stats",), ("stats", "--json"), ("split", f"--output={output}")):
        done = cli("data", word, f"--input={path}", *flags)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"--input={path}: must contain a good record, but the files contain no record" in done.stderr
        assert not output.exists()
    # A day without records is a file without lines.
    done = _good(cli("data", "convert", f"--input={path}", f"--output={output}"))
    assert f"{path}: the file holds no record" in done.stderr
    assert output.read_bytes() == b""


def test_a_file_of_bad_records_alone(cli, tmp_path):
    path = _write(tmp_path / "in.jsonl", _record(STONE | {"end_pos": 99}))
    for word in ("validate", "stats", "split", "convert"):
        output = tmp_path / word
        done = cli("data", word, f"--input={path}", "--on_error=skip", f"--output={output}")
        assert (done.returncode, done.stdout) == (1, "")
        assert (
            f"must contain a good record, but all 1 records are bad, see {output}.rejects.jsonl"
            in done.stderr
        )
        assert len(_read(tmp_path / f"{word}.rejects.jsonl")) == 1
        assert not output.exists()


def test_labels_are_printed_as_they_are(cli, tmp_path):
    labels = ("症状[/体征]", "药物[name]", "药物[dose]")
    mentions = [{"label_type": label, "start_pos": i, "end_pos": i + 1} for i, label in enumerate(labels)]
    path = _write(tmp_path / "in.jsonl", _record(*mentions))
    table = _good(cli("data", "stats", f"--input={path}", "--labels=infer")).stdout
    for label in labels:
        assert sum(line.split("│")[1].strip() == label for line in table.splitlines() if line[0] == "│") == 1


def test_stats_table_json_and_file(cli, records, tmp_path):
    table = _good(cli("data", "stats", f"--input={records}", f"--input={records}")).stdout
    assert "20 records, 180 characters" in table
    (line,) = [line for line in table.splitlines() if "Diseases" in line]
    assert [cell.strip() for cell in line.split("│")[1:-1]] == ["疾病和诊断", "Diseases", "20", "1"]
    output = tmp_path / "stats.json"
    done = _good(cli("data", "stats", f"--input={records}", "--json", f"--output={output}"))
    assert json.loads(done.stdout) == json.loads(output.read_text(encoding="utf-8"))
    assert json.loads(done.stdout)["length_percentiles"]["50"] == 9


def test_table_iii_on_both_training_files(cli, shared):
    inputs = [f"--input={shared}/data/ccks2019/subtask1_training_part{part}.txt" for part in (1, 2)]
    table = _good(cli("data", "stats", *inputs)).stdout
    rows = [[cell.strip() for cell in line.split("│")] for line in table.splitlines() if line.startswith("│")]
    by_name = {row[2]: row[4] for row in rows if len(row) == 6}
    names = ("Diseases", "Image", "Laboratory", "Operation", "Drug", "Anatomy")
    assert [by_name[name] for name in names] == ["2116", "222", "318", "765", "456", "1486"]


def test_figures_are_written_before_they_are_shown(records, tmp_path):
    output = tmp_path / "stats.json"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "emr_ner_tf.cli.data", "stats"),
                *(f"--input={records}", f"--output={output}"),
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert json.loads(output.read_text(encoding="utf-8"))["mentions"] == 20


def test_split(cli, records, tmp_path):
    done = _good(cli("data", "split", f"--input={records}", f"--output={tmp_path}/a", "--seed=1"))
    assert done.stdout == f"{tmp_path}/a/train.jsonl: 7 records\n{tmp_path}/a/heldout.jsonl: 3 records\n"
    train, held = _read(tmp_path / "a/train.jsonl"), _read(tmp_path / "a/heldout.jsonl")
    assert sorted(record["id"] for record in train + held) == list(range(10))
    assert train[0] == _record(STONE, DRUG, id=train[0]["id"])
    _good(cli("data", "split", f"--input={records}", f"--output={tmp_path}/b", "--seed=1"))
    assert (tmp_path / "b/heldout.jsonl").read_bytes() == (tmp_path / "a/heldout.jsonl").read_bytes()
    _good(
        cli(
            "data",
            "split",
            f"--input={records}",
            f"--output={tmp_path}/c",
            "--seed=2",
            "--ratio=1:1",
            "--to=bio",
        )
    )
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["heldout.bio", "train.bio"]


def test_split_keeps_near_duplicates_together(cli, tmp_path):
    block = "".join(map(chr, range(0x4E00, 0x4E00 + 30)))
    texts = [f"{block}{i}" if i % 2 else f"{i}" * 40 for i in range(10)]
    path = _write(
        tmp_path / "in.jsonl",
        *({"originalText": text, "entities": [], "id": i} for i, text in enumerate(texts)),
    )
    done = _good(
        cli("data", "split", f"--input={path}", f"--output={tmp_path}/out", "--keep_near_duplicates_together")
    )
    assert "6 groups" in done.stdout
    odd = [
        {record["id"] % 2 for record in _read(tmp_path / f"out/{side}.jsonl")}
        for side in ("train", "heldout")
    ]
    assert sum(1 in side for side in odd) == 1


def test_split_writes_nothing_on_a_bad_record_and_skips_on_request(cli, mixed, tmp_path):
    done = cli("data", "split", f"--input={mixed}", f"--output={tmp_path}/out")
    assert done.returncode == 1
    assert not (tmp_path / "out").exists()
    _good(cli("data", "split", f"--input={mixed}", f"--output={tmp_path}/out/", "--on_error=skip"))
    assert len(_read(tmp_path / "out/train.jsonl")) == len(_read(tmp_path / "out/heldout.jsonl")) == 1
    assert len(_read(tmp_path / "out.rejects.jsonl")) == 3


def test_convert_there_and_back(cli, records, tmp_path):
    columns, back = tmp_path / "records.bio", tmp_path / "back.jsonl"
    done = _good(cli("data", "convert", f"--input={records}", f"--output={columns}"))
    assert done.stdout == f"{columns}: 10 records as bio\n"
    assert columns.read_text(encoding="utf-8").startswith('# {"id": 0}\n左\tB-疾病和诊断\n肾\tI-疾病和诊断\n')
    _good(cli("data", "convert", f"--input={columns}", "--format=bio", f"--output={back}"))
    assert _read(back) == _read(records)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("out.csv", "csv"),
        ("out.XLSX", "xlsx"),
        ("out.conll", "conll"),
        ("out.jsonl", "ccks2019"),
        ("out.json", "ccks2019"),
        ("out.txt", "bio"),
        ("out", "bio"),
    ],
)
def test_an_output_has_the_format_of_its_name(cli, records, tmp_path, name, format):
    done = cli("data", "convert", f"--input={records}", f"--output={tmp_path / name}")
    assert f"{name}: 10 records as {format}" in done.stdout, done.stderr
    if name == "out.csv":
        done = cli("data", "validate", f"--input={tmp_path / name}", f"--output={tmp_path / 'good.jsonl'}")
        assert (tmp_path / "good.jsonl").read_bytes()[:3] == b"\xef\xbb\xbf"
        done = cli("data", "convert", f"--input={records}", f"--output={tmp_path / name}", "--to=bio")
        assert "10 records as bio" in done.stdout


def test_convert_plain_text(cli, tmp_path):
    source, output = tmp_path / "notes.txt", tmp_path / "notes.jsonl"
    source.write_text("肝癌\n\n痛\n", encoding="utf-8")
    _good(cli("data", "convert", f"--input={source}", "--format=text", f"--output={output}"))
    assert _read(output) == [{"originalText": text, "entities": []} for text in ("肝癌", "痛")]


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ([], "predictions"),
        (["--label_studio=annotations"], "annotations"),
        (["--label_studio=annotations", "--format=text"], "annotations"),
    ],
)
def test_texts_that_nobody_has_annotated_are_no_finished_tasks(cli, tmp_path, flags, kind):
    source, output = tmp_path / "notes.txt", tmp_path / "tasks.json"
    source.write_text("肝癌。\n痛。\n", encoding="utf-8")
    done = cli("data", "convert", f"--input={source}", f"--output={output}", "--to=label_studio", *flags)
    _good(done)
    assert "has no setting" not in done.stderr
    tasks = json.loads(output.read_text(encoding="utf-8"))
    assert [task.keys() for task in tasks] == [{"data", kind}] * 2


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        ((), 2, "--input"),
        (("--input=IN",), 2, "one of validate, check, audit, stats, split, convert, got none"),
        (("lint", "--input=IN"), 2, "one of validate, check, audit, stats, split, convert, got 'lint'"),
        (("validate", "IN"), 2, "--input"),
        (("validate", "--input=IN", "IN"), 2, "unexpected argument"),
        (("validate", "--input=IN", "--nonsense"), 2, "nonsense"),
        (("validate", "--input=IN", "--format=xml"), 2, "format"),
        (("validate", "--input=IN", "--ratio=1:1"), 2, "--ratio is not a flag of validate"),
        (("split", "--input=IN", "--output=OUT", "--json"), 2, "--json is not a flag of split"),
        (("split", "--input=IN"), 2, "split requires --output"),
        (
            ("convert", "--input=IN", "--output=OUT", "--to_scheme=bioes"),
            2,
            "--to_scheme is a flag of conll and",
        ),
        (("stats", "--input=IN", "--format=ccks2019", "--layer=x"), 1, "--layer is one of webanno, uima_xmi"),
        (("convert", "--input=IN"), 2, "convert requires --output"),
        (("stats", "--input=IN", "--on_error=skip"), 2, "--on_error=skip needs --output"),
        (("split", "--input=IN", "--output=OUT", "--ratio=0.7"), 2, "such as 7:3, got '0.7'"),
        (("validate", "--input=ABSENT"), 1, "ABSENT: no such file"),
        (("split", "--input=IN", "--output=IN"), 1, "IN"),
        (("validate", "--input=IN", "--labels=ABSENT"), 1, "there is no such file"),
    ],
)
def test_wrong_calls(cli, records, tmp_path, flags, status, message):
    names = {"IN": str(records), "OUT": f"{tmp_path}/out", "ABSENT": f"{tmp_path}/absent"}

    def real(text):
        for name, path in names.items():
            text = text.replace(name, path)
        return text

    done = cli("data", *map(real, flags))
    assert done.returncode == status, done.stderr
    assert real(message) in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_help_teaches(cli):
    done = _good(cli("data", "validate", "--help"))
    for word in (
        "validate",
        "stats",
        "split",
        "convert",
        "--keep_near_duplicates_together",
        "default: 7:3",
        "Format of --input and",
    ):
        assert word in done.stdout
    assert done.stderr == ""


def test_tensorflow_is_not_imported(records):
    code = (
        "import sys; from emr_ner_tf.cli import data, main, runner; "
        "print([name for name in ('tensorflow', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
