"""No record's text in a log, an error or a summary: records with canary texts through every command."""

import traceback

import pytest
from canary_text import (
    BAD,
    BAD_ANNOTATION,
    BAD_COLUMNS,
    CANARY,
    GOOD,
    KEPT,
    assert_keeps_nothing,
    assert_silent,
    run_all,
)

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.encoders.loading import build_encoder
from emr_ner_tf.encoders.saving import save_encoder
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.bundle import Bundle
from emr_ner_tf.exporting.parity_check import verify
from emr_ner_tf.inference.annotator import Annotator
from emr_ner_tf.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A tiny BERT with random weights, in the Hugging Face layout."""
    folder = tmp_path_factory.mktemp("encoder")
    config = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config |= {"intermediate_size": 8, "max_position_embeddings": 40, "type_vocab_size": 2, "vocab_size": 6}
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "患")
    save_encoder(build_encoder(config), Vocabulary(tokens), folder, heads={})
    return folder


def test_every_fault_is_one(folder):
    # Otherwise the commands below would have nothing to print.
    for name in BAD | BAD_ANNOTATION:
        with pytest.raises(UserError) as caught:
            list(read_documents(folder / f"{name}.jsonl", labels=("疾病和诊断", "手术")))
        assert_silent("".join(traceback.format_exception(caught.value)), name)
    assert len(list(read_documents(folder / "good.jsonl"))) == 16


def test_data(folder, quiet, tmp_path):
    bad, skip = f"--input={folder}/bad.jsonl", "--on_error=skip"
    said = quiet("data", "validate", bad, status=1).stderr
    assert len(said.splitlines()) == len(BAD) + len(BAD_ANNOTATION) + 1
    calls = [("validate", bad, skip, f"--output={tmp_path}/v.jsonl")]
    for command, output in (("stats", "stats.json"), ("split", "split"), ("convert", "converted.bio")):
        quiet("data", command, bad, f"--output={tmp_path}/{output}.raise", status=1)
        calls.append((command, bad, skip, f"--output={tmp_path}/{output}"))
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


def test_a_text_that_the_shell_has_split(quiet):
    said = quiet("annotate", "--bundle=bundles", f"--text={CANARY}", CANARY, status=2).stderr
    assert f"unexpected argument of {len(CANARY)} characters" in said


@pytest.mark.slow
def test_train_and_export(folder, quiet, smallest_flags, tmp_path):
    flags = (*smallest_flags, "--config.train.epochs=1")
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
    assert_keeps_nothing(model_dir)
    export = ("export", f"--model_dir={model_dir}", f"--output={tmp_path}/bundles")
    run_all(
        [
            lambda: quiet(*export, f"--verify_on={folder}/bad.jsonl", status=1),
            lambda: quiet(*export, f"--verify_on={folder}/good.jsonl"),
        ]
    )
    assert_keeps_nothing(tmp_path / "bundles")


@pytest.mark.slow
def test_evaluate(folder, quiet, trained, bundles, tmp_path):
    output = f"--output={tmp_path}/scores.json"
    run_all(
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
                *(f"--report={tmp_path}/report.html", "--redact"),
            ),
        ]
    )
    assert (tmp_path / "report.html").exists()
    assert_keeps_nothing(tmp_path)
    assert (tmp_path / "scores.json.rejects.jsonl").exists()


@pytest.mark.slow
def test_annotate(folder, quiet, bundles, tmp_path):
    raw, bundle = f"--input={folder}/raw.jsonl", f"--bundle={bundles}"

    def archive(name, *flags, status=0):
        names = (f"--output_dir={tmp_path}/{name}", "--shards=1", f"--on_error={name}")
        return lambda: quiet("annotate_archive", bundle, raw, *names, *flags, status=status)

    run_all(
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
            lambda: quiet("annotate", bundle, f"--text={CANARY}\udcff", status=1, records_on_stdout=True),
            archive("raise", status=1),
            archive("skip"),
        ]
    )
    for rejects in ("found.jsonl.rejects.jsonl", "skip/rejects.jsonl"):
        assert len((tmp_path / rejects).read_bytes().splitlines()) == len(BAD)
    assert not any(piece in (tmp_path / "skip/summary.json").read_bytes() for piece in KEPT)


@pytest.mark.slow
def test_next(folder, quiet, trained, tmp_path):
    model, raw = f"--model_dir={trained}", f"--input={folder}/raw.jsonl"
    quiet("next", model, raw, f"--output={tmp_path}/next.jsonl", status=1)
    good = f"{folder}/good.jsonl"
    quiet("next", model, f"--input={good}", f"--known={good}", f"--output={tmp_path}/next.jsonl")
    assert_keeps_nothing(tmp_path)


@pytest.mark.slow
def test_pretrain(folder, quiet, encoder, tmp_path):
    def pretrain(command, name, file, *flags, status=0):
        data = f"--config.data.unlabelled={folder}/{file}"
        places = (f"--model_dir={tmp_path}/{command}/{name}", f"--output={tmp_path}/{command}/{name}/out")
        return lambda: quiet(command, f"--config=configs/{command}.py", data, *flags, *places, status=status)

    bert = (f"--config.encoder={encoder}", "--config.text.window=32", "--config.train.head_steps=0")
    elmo = (
        *("--config.text.min_count=1", "--config.text.window=16", "--config.model.hidden_size=4"),
        *("--config.model.intermediate_size=4", "--config.model.num_hidden_layers=1"),
    )
    calls = []
    for command, flags in (("pretrain", bert), ("pretrain_elmo", elmo)):
        calls += [
            pretrain(command, "raise", "raw.jsonl", *flags, status=1),
            pretrain(command, "run", "passages.txt", *flags),
        ]
    run_all(calls)
    for command in ("pretrain", "pretrain_elmo"):
        assert_keeps_nothing(tmp_path / command)


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

    run_all(
        [
            reproduce("good.jsonl", "first.jsonl", status=1),
            reproduce("bad.jsonl", "good.jsonl", status=1),
            reproduce("good.jsonl", "good.jsonl", "--report_only"),
        ]
    )
    assert_keeps_nothing(tmp_path)


class _Other(Annotator):
    """Another model than the bundle's."""

    @property
    def name(self):
        return "other"

    def predict(self, texts):
        return [(Entity(0, 2, "手术", 1.0),) for _ in texts]


def test_a_bundle_that_differs_is_an_error_without_text(bundles):
    bundle = Bundle(bundles)
    document = Document("1", GOOD["originalText"])
    with pytest.raises(UserError, match="not published") as caught:
        verify(bundle, list(_Other().annotate([document])))
    assert_silent("".join(traceback.format_exception(caught.value)), "verify")
