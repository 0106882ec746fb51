"""No record's text in a log, an error or a summary: marked records through every main, the server and the clients."""

import asyncio
import concurrent.futures
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import traceback

import grpc
import pytest
import requests
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.encoders.loading import build_encoder
from emr_ner_tf.encoders.saving import save_encoder
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.bundle import Bundle
from emr_ner_tf.exporting.verification import verify
from emr_ner_tf.serving.aio_client import AsyncGrpcClient
from emr_ner_tf.serving.client_options import ClientOptions
from emr_ner_tf.serving.grpc_client import GrpcClient
from emr_ner_tf.serving.rest_client import RestClient
from emr_ner_tf.text.vocabulary import Vocabulary

ROOT = pathlib.Path(__file__).parents[1]
MARK = "龘靐QZJV7"
# Whole or a piece of it, as it is or escaped.
TOLD = ("龘", "靐", "qzjv", "\\u9f98", "\\u9750", "\\xe9\\xbe\\x98", "\\xe9\\x9d\\x90")
# A vocabulary holds characters of the training text, each by itself: of files only more than one at a time is asked.
KEPT = (MARK[:2].encode(), b"QZJV", b"qzjv", b"\\u9f98\\u9750")
# The libraries' own remarks, too.
ALL_REMARKS = {"TF_CPP_MIN_LOG_LEVEL": "0"}

GOOD = {
    "id": f"{MARK}-1",
    "name": MARK,
    "originalText": f"患者{MARK}因右肺上叶腺癌入院，行{MARK}切除术。",
    "entities": [
        {"label_type": "疾病和诊断", "overlap": 0, "start_pos": 10, "end_pos": 16, "note": MARK},
        {"label_type": "手术", "overlap": 0, "start_pos": 20, "end_pos": 30},
    ],
}


def _with(mention=None, **keys):
    record = {**GOOD, **keys}
    if mention is not None:
        record["entities"] = [{"label_type": "手术", "start_pos": 2, "end_pos": 9, "note": MARK} | mention]
    return json.dumps(record, ensure_ascii=False).encode()


def _without(key):
    return json.dumps(
        {name: value for name, value in GOOD.items() if name != key}, ensure_ascii=False
    ).encode()


_TEXT = f'{{"originalText": "{MARK}'.encode()
# What no reader takes, whatever it needs of a record.
BAD = {
    "not JSON": MARK.encode(),
    "cut off": _TEXT,
    "bad escape": _TEXT + rb'\q"}',
    "control character": _TEXT + b'\x01"}',
    "more behind": _TEXT + b'"} ' + MARK.encode(),
    "a list": json.dumps([MARK], ensure_ascii=False).encode(),
    "a string": json.dumps(MARK, ensure_ascii=False).encode(),
    "a key twice": f'{{"{MARK}": 1, "{MARK}": 2, "originalText": "{MARK}"}}'.encode(),
    "nested": _TEXT + b'", "x": ' + b"[" * 100_000,
    "a number too long": _TEXT + b'", "x": ' + b"1" * 5000 + b"}",
    "no text": _without("originalText"),
    "text of a wrong type": _with(originalText=[MARK]),
    "text is an object": _with(originalText={MARK: MARK}),
    "id of a wrong type": _with(id=[MARK]),
    "mentions are a text": _with(entities=MARK),
    "mentions are an object": _with(entities={MARK: MARK}),
    "a mention is a text": _with(entities=[MARK]),
    "label missing": _with(entities=[{"start_pos": 0, "end_pos": 1, MARK: MARK}]),
    "label of a wrong type": _with({"label_type": [MARK]}),
    "offset is a text": _with({"start_pos": MARK}),
    "offset is a fraction": _with({"end_pos": 2.5}),
    "past the end": _with({"end_pos": 4000}),
    "before the text": _with({"start_pos": -1}),
    "reversed": _with({"start_pos": 9, "end_pos": 2}),
    "empty": _with({"start_pos": 9}),
    "not UTF-8": _TEXT + b'\xff"}',
    "a surrogate": _TEXT + b'\\ud800", "entities": []}',
}
# What only a reader of annotated records refuses.
BAD_ANNOTATION = {
    "no mentions": _without("entities"),
    "a label unknown": _with({"label_type": "别的"}),
    "overlapping": _with(entities=[{**GOOD["entities"][0], "start_pos": at} for at in (10, 11)]),
}
BAD_COLUMNS = {
    "two characters": f"{MARK}\tO",
    "no tag": MARK,
    "a tag that is text": f"龘\t{MARK}",
    "I without B": "龘\tI-手术",
    "keys are not JSON": f'# {{"{MARK}": \n龘\tO',
    "more keys than mentions": f'# {{"entities": [{{"x": "{MARK}"}}]}}\n龘\tO',
}


def _assert_silent(said, where):
    said = said.lower()
    for piece in TOLD:
        at = said.find(piece)
        assert at < 0, f"{where} tells of a record, before: {said[max(0, at - 200) : at]!r}"


def _assert_keeps_nothing(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and "rejects" not in path.name]
    assert files
    for path in files:
        content = path.read_bytes()
        assert not any(piece in content for piece in KEPT), path


@pytest.fixture(scope="module")
def folder(corpus, tmp_path_factory):
    """Files of records, all of them marked but for some of the good ones, and passages."""
    folder = tmp_path_factory.mktemp("marked")
    good = [json.dumps({**GOOD, "id": f"{MARK}-{i}"}, ensure_ascii=False).encode() for i in range(8)]
    others = (corpus / "train.jsonl").read_bytes().splitlines()[:8]
    contents = {
        "good.jsonl": good + others,
        "raw.jsonl": [*good, *BAD.values()],
        "bad.jsonl": [*good, *others, *BAD.values(), *BAD_ANNOTATION.values()],
        "good.txt": [GOOD["originalText"].encode()] * 8,
        "bad.txt": [MARK.encode(), MARK.encode() + b"\xff"],
        "bad.bio": [f"{rows}\n".encode() for rows in BAD_COLUMNS.values()],
        "first.jsonl": [*others, BAD["cut off"]],
    }
    # Passages of their own, since what is trained and what is measured must differ.
    contents["passages.txt"] = [f"{i}。{GOOD['originalText']}{MARK * i}。".encode() for i in range(12)]
    for name, lines in contents.items():
        (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    for name, line in (BAD | BAD_ANNOTATION).items():
        (folder / f"{name}.jsonl").write_bytes(good[0] + b"\n" + line + b"\n")
    return folder


@pytest.fixture(scope="module")
def quiet(cli):
    """Runs a main, asserts how it ends and that it is silent about records; returns what it said."""

    def run(word, *arguments, status=0, records_on_stdout=False):
        done = cli(word, *arguments, env=ALL_REMARKS)
        call = f"{word} {' '.join(map(str, arguments))}"
        assert done.returncode == status, f"{call}: {done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr, call
        assert status == 0 or done.stderr.strip(), call
        _assert_silent(done.stderr, call)
        if not records_on_stdout:
            _assert_silent(done.stdout, call)
        return done

    return run


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A tiny BERT with random weights, in the Hugging Face layout."""
    folder = tmp_path_factory.mktemp("encoder")
    config = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config |= {"intermediate_size": 8, "max_position_embeddings": 40, "type_vocab_size": 2, "vocab_size": 6}
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "患")
    save_encoder(build_encoder(config), Vocabulary(tokens), folder, heads={})
    return folder


def _all(calls):
    """Two at a time: a main begins with some seconds of one core's work."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def test_every_fault_is_one(folder):
    # Or the mains below would be asked nothing.
    for name in BAD | BAD_ANNOTATION:
        with pytest.raises(UserError) as caught:
            list(read_documents(folder / f"{name}.jsonl", labels=("疾病和诊断", "手术")))
        _assert_silent("".join(traceback.format_exception(caught.value)), name)
    assert len(list(read_documents(folder / "good.jsonl"))) == 16


def test_data(folder, quiet, tmp_path):
    bad, skip = f"--input={folder}/bad.jsonl", "--on_error=skip"
    said = quiet("data", "validate", bad, status=1).stderr
    assert len(said.splitlines()) == len(BAD) + len(BAD_ANNOTATION) + 1
    calls = [("validate", bad, skip, f"--output={tmp_path}/v.jsonl")]
    for word, output in (("stats", "stats.json"), ("split", "split"), ("convert", "converted.bio")):
        quiet("data", word, bad, f"--output={tmp_path}/{output}.raise", status=1)
        calls.append((word, bad, skip, f"--output={tmp_path}/{output}"))
    calls += [
        ("stats", bad, "--labels=infer", "--json", skip, f"--output={tmp_path}/inferred.json"),
        ("split", bad, skip, "--keep_near_duplicates_together", f"--output={tmp_path}/together"),
    ]
    for call in calls:
        assert "records rejected" in quiet("data", *call).stderr
    for file, format, faults in (("bad.bio", "bio", len(BAD_COLUMNS)), ("bad.txt", "text", 1)):
        said = quiet("data", "validate", f"--input={folder}/{file}", f"--format={format}", status=1).stderr
        assert len(said.splitlines()) == faults + 1
    for path in tmp_path.glob("*.json"):
        assert not any(piece in path.read_bytes() for piece in KEPT)
    assert list(tmp_path.glob("*.json"))
    assert (tmp_path / "v.jsonl.rejects.jsonl").exists()


def test_a_text_that_the_shell_has_parted(quiet):
    said = quiet("annotate", "--bundle=bundles", f"--text={MARK}", MARK, status=2).stderr
    assert f"unexpected argument of {len(MARK)} characters" in said


@pytest.mark.slow
def test_train_and_export(folder, quiet, tiny_flags, tmp_path):
    flags = (*tiny_flags, "--config.train.epochs=1")
    model_dir = tmp_path / "model"
    quiet(
        "train",
        *flags,
        f"--config.data.train={folder}/first.jsonl",
        f"--model_dir={tmp_path}/raise",
        status=1,
    )
    train = f"--config.data.train={folder}/bad.jsonl"
    quiet("train", *flags, train, f"--model_dir={model_dir}", "--on_error=skip")
    assert (model_dir / "rejects.jsonl").exists()
    _assert_keeps_nothing(model_dir)
    export = ("export", f"--model_dir={model_dir}", f"--output={tmp_path}/bundles")
    _all(
        [
            lambda: quiet(*export, f"--verify_on={folder}/bad.jsonl", status=1),
            lambda: quiet(*export, f"--verify_on={folder}/good.jsonl"),
        ]
    )
    _assert_keeps_nothing(tmp_path / "bundles")


@pytest.mark.slow
def test_evaluate(folder, quiet, trained, bundles, tmp_path):
    output = f"--output={tmp_path}/scores.json"
    _all(
        [
            lambda: quiet("evaluate", f"--bundle={bundles}", f"--input={folder}/first.jsonl", status=1),
            lambda: quiet(
                *(
                    "evaluate",
                    f"--model_dir={trained}",
                    f"--input={folder}/bad.jsonl",
                    "--on_error=skip",
                    output,
                ),
                *(f"--train={folder}/bad.jsonl", "--lookup_baseline", "--by_record"),
            ),
        ]
    )
    _assert_keeps_nothing(tmp_path)
    assert (tmp_path / "scores.json.rejects.jsonl").exists()


@pytest.mark.slow
def test_annotate(folder, quiet, bundles, tmp_path):
    raw, bundle = f"--input={folder}/raw.jsonl", f"--bundle={bundles}"

    def archive(name, *flags, status=0):
        names = (f"--output_dir={tmp_path}/{name}", "--shards=1", f"--on_error={name}")
        return lambda: quiet("annotate_archive", bundle, raw, *names, *flags, status=status)

    _all(
        [
            lambda: quiet("annotate", bundle, raw, status=1, records_on_stdout=True),
            lambda: quiet("annotate", bundle, raw, "--on_error=skip", f"--output={tmp_path}/found.jsonl"),
            lambda: quiet(
                "annotate",
                bundle,
                f"--input={folder}/bad.txt",
                "--format=text",
                status=1,
                records_on_stdout=True,
            ),
            lambda: quiet("annotate", bundle, f"--text={MARK}\udcff", status=1, records_on_stdout=True),
            archive("raise", status=1),
            archive("skip"),
        ]
    )
    for rejects in ("found.jsonl.rejects.jsonl", "skip/rejects.jsonl"):
        assert len((tmp_path / rejects).read_bytes().splitlines()) == len(BAD)
    assert not any(piece in (tmp_path / "skip/summary.json").read_bytes() for piece in KEPT)


@pytest.mark.slow
def test_pretrain(folder, quiet, encoder, tmp_path):
    def pretrain(word, name, file, *flags, status=0):
        data = f"--config.data.unlabelled={folder}/{file}"
        places = (f"--model_dir={tmp_path}/{word}/{name}", f"--output={tmp_path}/{word}/{name}/out")
        return lambda: quiet(word, f"--config=configs/{word}.py", data, *flags, *places, status=status)

    bert = (f"--config.encoder={encoder}", "--config.text.window=32", "--config.train.head_steps=0")
    elmo = (
        *("--config.text.min_count=1", "--config.text.window=16", "--config.model.hidden_size=4"),
        *("--config.model.intermediate_size=4", "--config.model.num_hidden_layers=1"),
    )
    calls = []
    for word, flags in (("pretrain", bert), ("pretrain_elmo", elmo)):
        calls += [
            pretrain(word, "raise", "raw.jsonl", *flags, status=1),
            pretrain(word, "run", "passages.txt", *flags),
        ]
    _all(calls)
    for word in ("pretrain", "pretrain_elmo"):
        _assert_keeps_nothing(tmp_path / word)


@pytest.mark.slow
def test_reproduce(folder, quiet, tmp_path):
    def reproduce(train, test, *flags, status=0):
        places = (
            f"--runs_dir={tmp_path}/runs",
            f"--work_dir={tmp_path}/work",
            f"--output={tmp_path}/paper.md",
        )
        files = (f"--train={folder}/{train}", f"--test={folder}/{test}", f"--all_records={folder}/{train}")
        rows = ("--tables=VII", "--rows=bigru_crf", "--seeds=1", "--budget=1", "--encoder=random")
        return lambda: quiet("reproduce", *files, *rows, *places, *flags, status=status)

    _all(
        [
            reproduce("good.jsonl", "first.jsonl", status=1),
            reproduce("bad.jsonl", "good.jsonl", status=1),
            reproduce("good.jsonl", "good.jsonl", "--report_only"),
        ]
    )
    _assert_keeps_nothing(tmp_path)


def test_a_bundle_that_differs_is_told_without_text(bundles):
    bundle = Bundle(bundles)
    document = Document("1", GOOD["originalText"])
    with pytest.raises(UserError, match="not published") as caught:
        verify(bundle, lambda texts: [(Entity(0, 2, "手术", 1.0),) for _ in texts], [document])
    _assert_silent("".join(traceback.format_exception(caught.value)), "verify")


@contextlib.contextmanager
def _serving(bundles, log):
    command = [
        sys.executable,
        "-m",
        "emr_ner_tf.cli.serve",
        "--port=0",
        "--rest_port=0",
        "--max_message_mb=1",
    ]
    with (
        open(log, "wb") as stderr,
        subprocess.Popen(
            [*command, f"--bundle={bundles}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | ALL_REMARKS,
            text=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline()
            assert line, log.read_text(encoding="utf-8")
            yield process, json.loads(line)
        finally:
            process.kill()


def _predict_requests():
    """Requests of gRPC, each with the marker and something wrong, but for the first."""
    good = predict_pb2.PredictRequest()
    good.model_spec.name = "ner"
    good.inputs["text"].dtype = 7
    good.inputs["text"].tensor_shape.dim.add(size=2)
    good.inputs["text"].string_val.extend([MARK.encode(), MARK.encode() + b"\xff"])
    yield good

    def wrong(change):
        request = predict_pb2.PredictRequest()
        request.CopyFrom(good)
        change(request)
        return request

    text = MARK.encode()
    yield wrong(lambda request: request.ClearField("model_spec"))
    yield wrong(lambda request: setattr(request.model_spec, "name", "other"))
    yield wrong(lambda request: setattr(request.model_spec, "signature_name", "marginals"))
    yield wrong(lambda request: setattr(request.inputs["text"], "dtype", 1))
    yield wrong(lambda request: setattr(request.inputs["text"], "tensor_content", text))
    yield wrong(lambda request: request.inputs["text"].string_val.append(text))
    yield wrong(lambda request: request.inputs["text"].tensor_shape.dim.add(size=3))
    yield wrong(lambda request: request.inputs["text"].string_val.__setitem__(0, text * 20_000))
    yield wrong(lambda request: request.inputs["text"].string_val.__setitem__(0, text * 100_000))
    yield wrong(lambda request: request.inputs["other"].CopyFrom(request.inputs["text"]))
    yield wrong(lambda request: request.output_filter.append("spans"))


BODIES = (
    b'{"instances": ["' + MARK.encode(),
    b'{"instances": ["' + MARK.encode() + b'\xff"]}',
    f'["{MARK}"]'.encode(),
    f'{{"{MARK}": 1}}'.encode(),
    *(
        json.dumps(document).encode()
        for document in (
            {"instances": MARK},
            {"instances": [MARK, [MARK]]},
            {"instances": [MARK, {"text": MARK}]},
            {"instances": [{"text": [MARK]}]},
            {"instances": [{MARK: MARK}]},
            {"instances": [{"b64": MARK}]},
            {"instances": [f"{MARK}\ud800"]},
            {"instances": [MARK * 20_000]},
            {"instances": [MARK * 100_000]},
            {"inputs": {MARK: [MARK]}},
            {"inputs": {"token_ids": [MARK], "length": MARK}, "signature_name": "decode"},
            {"inputs": [MARK], "signature_name": "spans"},
        )
    ),
)


def _ask_async(target, options, texts):
    async def ask():
        async with AsyncGrpcClient(target, options) as client:
            return await client.tag_texts(texts)

    return asyncio.run(ask())


def _client_faults(ports, absent):
    """Calls that fail in the client, on the way, or at the server, by what is wrong."""
    texts, once = [MARK, f"{MARK}患者。" * 100], ClientOptions(patience_s=0)
    wrongs = {
        "a surrogate": (once, [f"{MARK}\ud800"], None),
        "too large to send": (ClientOptions(max_message_bytes=500), texts, None),
        "too large to take": (ClientOptions(max_characters=2_000_000), [MARK * 100_000], None),
        "too many characters": (ClientOptions(max_characters=2_000_000), [MARK * 15_000], None),
        "late": (ClientOptions(deadline_s=0.001), [f"{MARK}患者。" * 5000], None),
        "another model": (ClientOptions(model="other"), texts, None),
        "another version": (ClientOptions(version=7), texts, None),
        "absent": (once, texts, absent),
    }
    for name, (options, given, other) in wrongs.items():
        for kind, client in (("port", GrpcClient), ("rest_port", RestClient)):
            target = f"127.0.0.1:{other or ports[kind]}"
            yield f"{name}, {kind}", lambda c=client, t=target, o=options, g=given: c(t, o).tag_texts(g)
        target = f"127.0.0.1:{other or ports['port']}"
        yield f"{name}, asyncio", lambda t=target, o=options, g=given: _ask_async(t, o, g)
    yield "gRPC to REST", lambda: GrpcClient(f"127.0.0.1:{ports['rest_port']}", once).tag_texts(texts)
    yield "REST to gRPC", lambda: RestClient(f"127.0.0.1:{ports['port']}", once).tag_texts(texts)


@pytest.mark.slow
def test_server_and_clients(folder, quiet, bundles, tmp_path):
    log = tmp_path / "stderr"
    with _serving(bundles, log) as (process, ports), socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        absent = closed.getsockname()[1]
        with grpc.insecure_channel(f"127.0.0.1:{ports['port']}") as channel:
            first, *wrong = _predict_requests()
            predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
            assert len(predict(first, timeout=60).outputs["num_entities"].int_val) == 2
            for i, request in enumerate(wrong):
                with pytest.raises(grpc.RpcError) as caught:
                    predict(request, timeout=60)
                _assert_silent(f"{caught.value.code()} {caught.value.details()}", f"gRPC request {i}")
        url = f"http://127.0.0.1:{ports['rest_port']}/v1/models/ner:predict"
        for body in BODIES:
            answer = requests.post(url, data=body, timeout=60)
            assert answer.status_code >= 400
            _assert_silent(answer.text, f"REST body {BODIES.index(body)}")
        for name, call in _client_faults(ports, absent):
            with pytest.raises(UserError) as caught:
                call()
            _assert_silent("".join(traceback.format_exception(caught.value)), name)
        raw, found = f"--input={folder}/raw.jsonl", f"--output={tmp_path}/found.jsonl"
        _all(
            [
                lambda: quiet(
                    "annotate", f"--server=127.0.0.1:{ports['port']}", raw, "--on_error=skip", found
                ),
                lambda: quiet(
                    *("annotate", f"--server=127.0.0.1:{ports['rest_port']}", "--protocol=rest", raw),
                    status=1,
                    records_on_stdout=True,
                ),
                lambda: quiet(
                    *("annotate", f"--server=127.0.0.1:{absent}", "--patience_s=0", f"--text={MARK}"),
                    status=1,
                ),
            ]
        )
        process.terminate()
        assert process.wait(60) == 0
        _assert_silent(process.stdout.read(), "serve")
    said = log.read_text(encoding="utf-8")
    _assert_silent(said, "serve")
    assert "Traceback" not in said
