"""Archives on Apache Beam: the whole job through its main, killed and repeated, failing."""

import collections
import gzip
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from emr_ner_tf.beam import sink
from emr_ner_tf.beam.model_handler import BundleHandler, newest_version
from emr_ner_tf.beam.pipeline import ArchiveJob, add_steps, annotate_archive
from emr_ner_tf.beam.source import find_files
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.rejects import RejectsWriter
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.data.writing import record_line
from emr_ner_tf.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
SECRET = "张三丰"
BAD = (
    b'{"originalText": 5}',
    f'{{"originalText": "{SECRET}", "entities": [{{"label_type": "x", "start_pos": 2, "end_pos": 9}}]}}'.encode(),
    b'{"originalText": "' + SECRET.encode() + b'\xff"}',
    SECRET.encode(),
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Three files of 100 records: ids that repeat, none, numbers, bad records; one ends without a line feed, one is
    compressed, one has a byte order mark, CRLF and blank lines."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(3):
        # The first ids stand in every file, with another text in each.
        records = [
            json.loads(record_line(document)) for document in generate("train", records=100, seed=number)
        ]
        for i, record in enumerate(records):
            record["id"] = f"same-{i}" if i < 5 else record["id"]
            if i % 10 == 7:
                del record["id"]
            elif i % 10 == 8:
                record["id"] = number * 1000 + i
        lines = [json.dumps(record, ensure_ascii=False).encode() for record in records]
        for i, bad in enumerate(BAD):
            lines.insert(20 * i + 3, bad)
        if number == 0:
            (folder / "a.jsonl").write_bytes(b"\n".join(lines))
        elif number == 1:
            (folder / "b.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
        else:
            (folder / "c.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(lines) + b"\r\n")
    return folder


def _flags(bundles, archive, output, *more):
    return [
        f"--bundle={bundles}",
        f"--input={archive}/*.jsonl",
        f"--input={archive}/b*",
        # Named twice, read once.
        f"--input={archive}/a.jsonl",
        f"--output_dir={output}",
        "--shards=3",
        "--workers=2",
        *more,
    ]


def _start(*flags):
    command = [sys.executable, "-m", "emr_ner_tf.cli.annotate_archive", *flags]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _loaded(process, workers):
    """Reads what a job says until so many workers load the bundle: their processes."""
    found = []
    for line in process.stderr:
        if " loads " in line:
            found.append(int(line.split(" loads ")[0].rsplit(maxsplit=1)[1]))
        if len(found) == workers:
            return found
    raise AssertionError("the job ended before its workers were there")


def _contents(output):
    return {path.name: path.read_bytes() for path in output.iterdir()}


@pytest.fixture(scope="module")
def done(cli, bundles, archive, tmp_path_factory):
    """Output of the job, and what it said."""
    output = tmp_path_factory.mktemp("done") / "found"
    job = cli("annotate_archive", *_flags(bundles, archive, output), timeout=300)
    assert job.returncode == 0, job.stderr
    return output, job.stderr


@pytest.fixture(scope="module")
def expected(bundles, archive, tmp_path_factory):
    """The output of `annotate` for the files, by file, and its rejects by file."""
    from emr_ner_tf.exporting.bundle import Bundle

    bundle = Bundle(bundles)
    folder = tmp_path_factory.mktemp("expected")
    found, rejects = {}, {}
    for path in archive.iterdir():
        plain = folder / "plain.jsonl"
        data = path.read_bytes()
        plain.write_bytes(gzip.decompress(data) if path.suffix == ".gz" else data)
        with RejectsWriter(folder / f"{path.name}.rejects") as writer:
            documents = read_documents(plain, overlaps="longest", rejects=writer, require_entities=False)
            found[str(path)] = list(bundle.annotate(documents))
        lines = (folder / f"{path.name}.rejects").read_text(encoding="utf-8").splitlines()
        rejects[str(path)] = [json.loads(line) for line in lines]
    return found, rejects


def _same(line, document):
    """Returns whether an output line is that document's, scores aside, which differ in the last digits."""
    record, theirs = json.loads(line), json.loads(record_line(document))
    theirs.setdefault("id", record["id"])
    for one, other in zip(record["entities"], theirs["entities"], strict=True):
        assert one.pop("score") == pytest.approx(other.pop("score"), abs=1e-4)
    return record == theirs


def test_every_record_is_once_in_its_shard_as_annotate_writes_it(done, expected):
    output, _ = done
    found, _ = expected
    by_text = {document.text: (path, document) for path, members in found.items() for document in members}
    total = sum(map(len, found.values()))
    assert len(by_text) == total == 300
    seen = []
    for shard in range(3):
        keys = []
        for line in (output / f"out-{shard:05}-of-00003.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            path, document = by_text[record["originalText"]]
            assert _same(line, document)
            if "plain.jsonl:" in document.id:
                assert record["id"].startswith(f"{path}:")
            else:
                assert str(record["id"]) == document.id
            name = str(record["id"])
            assert int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) % 3 == shard
            keys.append((name, path))
            seen.append(document.text)
        assert keys == sorted(keys)
        assert len(keys) > 50
    assert sorted(seen) == sorted(by_text)
    entities = sum(len(document.entities) for _, document in by_text.values())
    assert entities > 300
    assert json.loads((output / "summary.json").read_text()) == {
        "records": 300,
        "entities": entities,
        "characters": sum(map(len, by_text)),
        "rejected": 12,
        "shards": 3,
    }


def test_ids_of_records_without_one_lead_to_their_lines(done, archive):
    output, _ = done
    traced = 0
    for path in output.glob("out-*"):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if not str(record["id"]).startswith(str(archive)):
                continue
            name, _, offset = record["id"].rpartition(":")
            source = json.loads(_data(name)[int(offset) :].split(b"\n")[0])
            assert source["originalText"] == record["originalText"]
            traced += 1
    assert traced == 30


def _data(path):
    data = pathlib.Path(path).read_bytes()
    return gzip.decompress(data) if path.endswith(".gz") else data


def test_bad_records_are_listed_with_file_offset_and_reason(done, expected, archive):
    output, said = done
    lines = (output / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    rejects = [json.loads(line) for line in lines]
    theirs = [(path, reject) for path, members in sorted(expected[1].items()) for reject in members]
    assert len(rejects) == len(theirs) == 12
    for mine, (path, reject) in zip(rejects, theirs, strict=True):
        assert mine["file"] == path
        assert {key: mine.get(key) for key in ("rule", "entity", "record", "record_base64")} == {
            key: reject.get(key) for key in ("rule", "entity", "record", "record_base64")
        }
        assert mine["message"].startswith(f"{path}: byte {mine['offset']}: ")
        assert SECRET not in mine["message"]
        raw = _data(path)[mine["offset"] :].split(b"\n")[0].removesuffix(b"\r")
        assert raw in BAD
        if "record" in mine:
            assert mine["record"].encode().removesuffix(b"\r") == raw
    assert "12 records rejected" in said
    assert SECRET not in said


def test_a_model_is_loaded_once_by_each_worker(done):
    processes = [
        line.split(" loads ")[0].rsplit(maxsplit=1)[1] for line in done[1].splitlines() if " loads " in line
    ]
    assert len(processes) == len(set(processes)) == 2


@pytest.mark.slow
def test_killed_and_repeated_it_writes_the_same_bytes(cli, bundles, archive, done, tmp_path):
    output = tmp_path / "found"
    flags = _flags(bundles, archive, output)
    process = _start(*flags)
    _loaded(process, 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert not {"summary.json", "rejects.jsonl"} & set(_contents(output))
    # As if the kill had come in the middle of the renaming.
    for name in ("out-00001-of-00003.jsonl", ".out-00002-of-00003.jsonl.0.tmp", "out-00001-of-00002.jsonl"):
        (output / name).write_bytes(b"half\n")
    again = cli("annotate_archive", *flags, timeout=300)
    assert again.returncode == 0, again.stderr
    assert "started again" in again.stderr
    assert _contents(output) == _contents(done[0])
    with pytest.raises(UserError, match="contains a finished job"):
        sink.begin(str(output))


@pytest.mark.slow
def test_a_job_that_loses_a_worker_or_meets_a_bad_record_ends(bundles, archive, tmp_path):
    lost = _start(*_flags(bundles, archive, tmp_path / "lost"))
    stopped = _start(*_flags(bundles, archive, tmp_path / "stopped", "--on_error=raise"))
    os.kill(_loaded(lost, 2)[0], signal.SIGKILL)
    said = lost.communicate(timeout=300)[1]
    assert lost.returncode == 1
    assert "exited with return code -9" in said
    assert "Traceback" not in said
    said = stopped.communicate(timeout=300)[1]
    assert stopped.returncode == 1
    assert any(f"{archive}/{name}: byte " in said for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl"))
    assert "`originalText`=5 is not a string" in said
    assert "Traceback" not in said
    assert SECRET not in said
    for name in ("lost", "stopped"):
        assert set(_contents(tmp_path / name)) == {"unfinished"}


def test_steps_on_another_runner_and_its_counters(bundles, archive, done, tmp_path):
    job = ArchiveJob(str(bundles), [f"{archive}/*"], str(tmp_path / "found"), shards=3)
    job_id = sink.begin(job.output_dir)
    pipeline = beam.Pipeline(FnApiRunner())
    handler = BundleHandler(newest_version(job.bundle), None)
    add_steps(pipeline, job, find_files(job.inputs), handler, job_id)
    result = pipeline.run()
    summary = sink.finish(job.output_dir)
    assert summary == json.loads((done[0] / "summary.json").read_text())
    counters = result.metrics().query(MetricsFilter().with_namespace("emr_ner_tf"))["counters"]
    sums = collections.Counter()
    for counter in counters:
        sums[counter.key.metric.name] += counter.result
    assert dict(sums) == {key: value for key, value in summary.items() if key != "shards"}


def test_a_runner_by_options_and_what_its_workers_refuse(bundles, archive, tmp_path):
    here = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    notes = tmp_path / "notes.txt"
    notes.write_text("\ufeff患者因右肺上叶腺癌入院。\n\n头痛。\n", encoding="utf-8")
    job = ArchiveJob(str(bundles), [str(notes)], str(tmp_path / "found"), "text", shards=2)
    assert annotate_archive(job, beam_options=[here])["records"] == 2
    lines = [line for path in (tmp_path / "found").glob("out-*") for line in path.read_text().splitlines()]
    assert sorted(json.loads(line)["id"] for line in lines) == [f"{notes}:3", f"{notes}:41"]
    bad = ArchiveJob(str(bundles), [f"{archive}/a.jsonl"], str(tmp_path / "bad"), shards=2, skip=False)
    # In the first a worker's error is raised as it is, in the second it comes as text.
    for mode in ("in_memory", "multi_threading"):
        with pytest.raises(UserError, match=r"a\.jsonl: byte \d+: `originalText`=5 is not a string$"):
            annotate_archive(bad, beam_options=[here, f"--direct_running_mode={mode}"])


def test_the_launcher_does_without_tensorflow():
    code = "import emr_ner_tf.beam.pipeline, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_wrong_call(cli, tmp_path):
    done = cli("annotate_archive", "--bundle=x", "--input=y", f"--output_dir={tmp_path}", "--beam_options='")
    assert done.returncode == 2
    assert "--beam_options: No closing quotation" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--runner=NoRunner", "Unexpected pipeline runner: NoRunner."),
        ("--runer=FlinkRunner --flink_master=flink:8081", "Beam has no option --runer=FlinkRunner; "),
        ("runner=FlinkRunner", "Beam has no option runner=FlinkRunner; "),
        ("--flink_version=0", "argument --flink_version: invalid choice: '0'"),
    ],
)
def test_wrong_options_of_beam(cli, tmp_path, options, message):
    output = tmp_path / "found"
    flags = (f"--bundle={tmp_path}", f"--input={tmp_path}/*", f"--output_dir={output}")
    done = cli("annotate_archive", *flags, f"--beam_options={options}")
    assert done.returncode == 2, done.stderr
    assert f"--beam_options: {message}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not output.exists()
