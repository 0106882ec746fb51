"""The public interface: what is imported, every docstring's example, one interface for everything that annotates."""

import doctest
import inspect
import json
import pathlib
import re
import subprocess
import sys
import types

import pytest

import emr_ner_tf
from emr_ner_tf import Document, Entity
from emr_ner_tf.client.grpc_client import GrpcClient
from emr_ner_tf.client.rest_client import RestClient
from emr_ner_tf.config import set_keys
from emr_ner_tf.errors import UserError
from emr_ner_tf.evaluation.lookup import LookupAnnotator
from emr_ner_tf.exporting.bundle import Bundle
from emr_ner_tf.inference import annotator as annotators
from emr_ner_tf.inference.annotator import Annotator
from emr_ner_tf.training.loading import InProcessTagger

ROOT = pathlib.Path(__file__).parents[2]
# Examples that name files and run models; the tiny recipe replaces the quickstart's.
WITH_FILES = ("train", "export", "load", "connect", "evaluate", "read_documents", "write_documents")


def test_importing_loads_nothing_heavy():
    # Which is why it takes milliseconds: python -X importtime -c 'import emr_ner_tf'.
    code = "import sys, emr_ner_tf; print([name in sys.modules for name in ('tensorflow', 'numpy', 'absl')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[False, False, False]\n"


def test_every_public_name_is_there_and_documented():
    for name in emr_ner_tf.__all__:
        value = getattr(emr_ner_tf, name)
        assert name in dir(emr_ner_tf)
        if name != "__version__":
            assert "Example:" in inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no_such"):
        emr_ner_tf.no_such  # noqa: B018


def test_the_page_is_made_from_the_docstrings():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "make_api_page.py")], capture_output=True, text=True, check=True
    )
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert page == done.stdout, "python docs/make_api_page.py > docs/api.md"


def test_the_page_has_every_method_and_whole_sentences():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for kind in (Document, Entity, Annotator):
        for name, value in vars(kind).items():
            if not name.startswith("_") and isinstance(value, (types.FunctionType, classmethod)):
                assert f"### {kind.__name__}.{name}\n\n```python\n{name}(" in page
    # A list has names; a sentence that goes over two lines is no list of two items.
    assert re.findall(r"^- (?!`).*", page, re.MULTILINE) == []


@pytest.fixture(scope="module")
def places(bundles, corpus, server, light_flags, tmp_path_factory):
    """A folder with what the examples name: TRAIN, TEST, BUNDLES."""
    folder = tmp_path_factory.mktemp("examples")
    for name, target in (
        ("BUNDLES", bundles),
        ("TRAIN", corpus / "train.jsonl"),
        ("TEST", corpus / "test.jsonl"),
    ):
        (folder / name).symlink_to(target)
    recipe = folder / "quickstart"
    changes = [flag.removeprefix("--config.").split("=") for flag in light_flags[1:]]
    lines = "\n".join(f"    config.{key} = type(config.{key})({value!r})" for key, value in changes)
    recipe.write_text(
        f"from emr_ner_tf.recipes import read_recipe\n\n\ndef get_config():\n"
        f"    config = read_recipe({str(ROOT / 'configs' / 'quickstart.py')!r})\n{lines}\n    return config\n",
        encoding="utf-8",
    )
    recipe.rename(folder / "tiny.py")
    return folder, server.address


def test_the_examples_that_run_models(places, monkeypatch):
    folder, address = places
    monkeypatch.chdir(folder)
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    said = []
    for name in WITH_FILES:
        text = inspect.getdoc(getattr(emr_ner_tf, name)).replace('"SERVER"', repr(address))
        text = text.replace('"quickstart"', '"tiny.py"')
        examples = parser.get_doctest(text, {}, name, None, 0)
        assert examples.examples, name
        runner.run(examples, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_the_other_examples():
    results = doctest.testmod(annotators)
    assert results.attempted >= 5
    assert results.failed == 0


def test_everything_that_annotates_has_one_interface(places, corpus, trained, bundles):
    _, address = places
    text = "患者因右肺上叶腺癌入院，行右肺上叶切除术。"
    expected = None
    train = list(emr_ner_tf.read_documents(corpus / "train.jsonl"))
    for make in (
        lambda: emr_ner_tf.load(bundles),
        lambda: emr_ner_tf.load(bundles / "1"),
        lambda: emr_ner_tf.load(trained),
        lambda: emr_ner_tf.connect(address),
        lambda: LookupAnnotator(train),
    ):
        with make() as annotator:
            assert isinstance(annotator, Annotator)
            assert annotator.name
            assert all(isinstance(label, str) for label in annotator.labels)
            document = annotator(text)
            assert document.text == text
            assert [entity.text for entity in document.entities] == [
                text[entity.start : entity.end] for entity in document.entities
            ]
            stream = annotator.annotate(text for _ in range(3))
            assert [(d.id, d.entities) for d in stream] == [(str(i), document.entities) for i in range(3)]
            with pytest.raises(UserError, match="put it into a list"):
                annotator.predict(text)
            if not isinstance(annotator, LookupAnnotator):
                expected = expected or document.entities
                assert document.entities == expected
    assert {Bundle, InProcessTagger, GrpcClient, RestClient, LookupAnnotator} <= set(
        Annotator.__subclasses__()
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: emr_ner_tf.connect("localhost:8500", protocol="http"), "grpc, rest, got 'http'"),
        (lambda: emr_ner_tf.connect("localhost:8500", patience=3), "one of model, version.* got patience"),
        (lambda: emr_ner_tf.connect("localhost:8500", deadline_s="30"), "deadline_s must be .* got str"),
        (lambda: emr_ner_tf.connect("http://localhost"), "HOST:PORT"),
        (lambda: emr_ner_tf.load("no_such_place"), "no_such_place"),
        (lambda: emr_ner_tf.train("no_such", "model"), "default, paper.* got 'no_such'"),
        (
            lambda: emr_ner_tf.train("quickstart", "model", {"train.epohs": 1}),
            "train.epochs.* got 'train.epohs'",
        ),
        (lambda: emr_ner_tf.train(pathlib.Path("no_such.py"), "model"), "got 'no_such.py'"),
        (lambda: emr_ner_tf.evaluate(LookupAnnotator([]), []), "none of the 0 documents"),
        (lambda: emr_ner_tf.evaluate(LookupAnnotator([]), "test.jsonl"), "must be a Document.* got str"),
    ],
)
def test_wrong_calls(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        call()
    assert list(tmp_path.iterdir()) == []


def test_an_annotator_of_unknown_labels_is_scored_on_all_that_it_finds():
    class Client(LookupAnnotator):
        labels = ()

    mention = Entity(0, 2, "药物")
    client = Client([Document("1", "头孢", [mention])])
    gold = [Document("1", "头孢，头痛。", [Entity(3, 5, "症状")]), Document("2", "头孢。", [mention])]
    scores = emr_ner_tf.evaluate(client, gold).exact
    counts = {
        label: (row.true_positives, row.false_positives, row.false_negatives)
        for label, row in scores.by_type.items()
    }
    assert counts == {"症状": (0, 0, 1), "药物": (1, 1, 0)}
    # A label that is only found.
    assert emr_ner_tf.evaluate(client, gold[:1]).exact.by_type["药物"].false_positives == 1


def test_settings_keep_their_types():
    from emr_ner_tf.config import base_config

    config = base_config()
    set_keys(config, {"train.epochs": 3, "model.dropout": 0, "data.train": "x.jsonl"})
    assert (config.train.epochs, config.model.dropout, config.data.train) == (3, 0.0, "x.jsonl")
    with pytest.raises(UserError, match=r"config\.train\.epochs must be of type int, got str"):
        set_keys(config, {"train.epochs": "many"})
    assert json.loads(config.to_json())["train"]["epochs"] == 3
