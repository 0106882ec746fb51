"""Cuts drawn anew: windows of every epoch against a plain reading, the same draw everywhere, a run that is killed."""

import dataclasses
import itertools
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.config import base_config, check_config
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.training import tagging_task
from emr_ner_tf.training.batching import plan_epoch
from emr_ner_tf.training.checkpoint_folder import CheckpointFolder
from emr_ner_tf.training.examples import build_examples, join_with_soft
from emr_ner_tf.training.random_cuts import RandomCuts
from emr_ner_tf.training.tagging_task import read_tagging_data
from emr_ner_tf.training.trainer import train

_LABELS = ("甲", "乙")
_VOCABULARY = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "。"))
_ONE_WINDOW = {"window": 2**31 - 1, "slack": 0}
# (window, slack): ordinary ones, no slack, cuts that may move by more than half of a window.
_SHAPES = [(20, 6), (12, 0), (9, 2), (10, 8)]


@st.composite
def _documents(draw):
    text = draw(st.text("abc。", max_size=90))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=12)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    labels = draw(st.lists(st.sampled_from(_LABELS), min_size=len(pairs), max_size=len(pairs)))
    entities = tuple(Entity(s, e, label) for (s, e), label in zip(pairs, labels, strict=True))
    return Document("x", text, entities)


def _cuts(documents, table, window, slack, **options):
    whole = build_examples(documents, _VOCABULARY, table, **_ONE_WINDOW)
    return RandomCuts(whole, _VOCABULARY, table, window=window, slack=slack, **options)


def _tags(documents, offsets, scheme):
    """Returns tags of all records, one mention of a window after the other."""
    tags = ["O"] * sum(len(document.text) for document in documents)
    offset = 0
    for document in documents:
        for entity in document.entities:
            for first, end in itertools.pairwise(offsets):
                part = range(max(first, offset + entity.start), min(end, offset + entity.end))
                for place in part:
                    prefix = "B" if place == part[0] else "I"
                    if scheme == "BIOES" and place == part[-1]:
                        prefix = "S" if place == part[0] else "E"
                    tags[place] = f"{prefix}-{entity.label}"
        offset += len(document.text)
    return tags


@settings(max_examples=60)
@given(
    documents=st.lists(_documents(), max_size=4),
    shape=st.sampled_from(_SHAPES),
    scheme=st.sampled_from(["BIO", "BIOES"]),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 9),
)
def test_windows_of_an_epoch(documents, shape, scheme, seed, epoch):
    window, slack = shape
    table = TagTable(_LABELS, scheme)
    drawn = _cuts(documents, table, window, slack).draw(seed, epoch)
    fixed = build_examples(documents, _VOCABULARY, table, window=window, slack=slack)
    # Every character once, in order; no window is empty, too long, or of two records.
    text = "".join(document.text for document in documents)
    assert [_VOCABULARY.tokens[i] for i in drawn.token_ids] == list(text)
    assert (drawn.offsets[0], drawn.offsets[-1]) == (0, len(text))
    assert (drawn.lengths > 0).all()
    assert (drawn.lengths <= window).all()
    ends = np.cumsum([0, *(len(document.text) for document in documents)])
    assert {*ends.tolist()} <= {*drawn.offsets.tolist()}
    # Each record has as many windows as without the key.
    np.testing.assert_array_equal(*(np.searchsorted(some.offsets, ends) for some in (fixed, drawn)))
    assert [table.tags[tag] for tag in drawn.tag_ids] == _tags(documents, drawn.offsets.tolist(), scheme)
    # A cut avoids mentions wherever the fixed one does.
    inside = np.zeros(len(text) + 1, bool)
    for document, offset in zip(documents, ends, strict=False):
        for entity in document.entities:
            inside[offset + entity.start + 1 : offset + entity.end] = True
    assert (inside[fixed.offsets] | ~inside[drawn.offsets]).all()


def _drawn_places(document, window, slack):
    cuts = _cuts([document], TagTable(_LABELS), window, slack)
    return {tuple(cuts.draw(1, epoch).offsets[1:-1].tolist()) for epoch in range(300)}


def test_places_of_a_cut():
    # One cut of 30 characters, which may be at 10 to 20; at 8 and 21 a window would be too long.
    text = list("a" * 30)
    assert _drawn_places(Document("x", "".join(text)), 20, 0) == {(place,) for place in range(10, 21)}
    for place in (8, 10, 13, 17, 21):
        text[place - 1] = "。"
    assert _drawn_places(Document("x", "".join(text)), 20, 0) == {(10,), (13,), (17,)}
    # Not inside a mention, even where no other punctuation is left.
    mention = Entity(9, 18, "甲")
    assert _drawn_places(Document("x", "".join(text), (mention,)), 20, 0) == {(18,), (19,), (20,)}
    # A mention that fills all places is cut, and not always at the same one.
    mention = Entity(5, 25, "甲")
    assert len(_drawn_places(Document("x", "".join(text), (mention,)), 20, 0)) == 11
    # Two cuts: the window between them changes by both, so that each has half of the room.
    places = _drawn_places(Document("x", "a" * 45), 19, 0)
    assert places == {(first, second) for first in range(13, 18) for second in range(28, 33)}


def test_a_function_of_seed_and_epoch():
    documents = [
        Document(str(i), one.text, one.entities) for i, one in enumerate(generate("train", records=9, seed=3))
    ]
    table = TagTable(tuple(sorted({entity.label for one in documents for entity in one.entities})))

    def offsets(seed, epoch):
        return _cuts(documents, table, 64, 8).draw(seed, epoch).offsets.tolist()

    assert offsets(1, 0) == offsets(1, 0)
    several = [offsets(1, 0), offsets(1, 1), offsets(2, 0), offsets(2, 1)]
    assert len({tuple(some) for some in several}) == 4
    assert len({len(some) for some in several}) == 1


def test_targets_of_annotated_mentions_follow_their_tags():
    table = TagTable(_LABELS)
    certain, soft = (
        build_examples([Document("x", "a" * 30, (Entity(5, 25, "甲"),))], _VOCABULARY, table, **_ONE_WINDOW)
        for _ in range(2)
    )
    marginals = np.random.default_rng(3).dirichlet(np.ones(table.num_tags), 30).astype(np.float16)
    both = join_with_soft(certain, dataclasses.replace(soft, targets=marginals))
    cuts = RandomCuts(both, _VOCABULARY, table, window=20, slack=0, certain=30)
    for epoch in range(4):
        drawn = cuts.draw(1, epoch)
        assert [table.tags[tag] for tag in drawn.tag_ids[drawn.offsets[[1, 3]]]] == ["B-甲", "B-甲"]
        np.testing.assert_array_equal(drawn.targets[:30].argmax(-1), drawn.tag_ids[:30])
        np.testing.assert_array_equal(np.sort(drawn.targets[:30])[:, -2:], [[0, 1]] * 30)
        # The teacher's own answers do not change.
        np.testing.assert_array_equal(drawn.targets[30:], marginals)
    assert (both.targets[6:25].argmax(-1) == table.tags.index("I-甲")).all()


class _Rules:
    """A teacher that is sure of nothing, and least at the character 患."""

    name = "rules"

    def __init__(self, tags):
        self.tags = tags

    def marginals(self, texts):
        rows = {True: np.ones(len(self.tags)), False: np.arange(1.0, len(self.tags) + 1)[::-1]}
        return [
            np.array(
                [rows[character == "患"] / rows[character == "患"].sum() for character in text], np.float32
            )
            for text in texts
        ]


@pytest.fixture
def config(tmp_path):
    """A tiny model and records of which most have several windows."""
    documents = list(generate("train", records=10, seed=3))
    write_documents(tmp_path / "records.jsonl", documents)
    config = base_config()
    config.model.encoder = "char"
    config.model.context = config.model.attention = "none"
    config.char.size = 4
    config.text.window, config.text.overlap, config.text.slack = 32, 8, 4
    config.data.train = str(tmp_path / "records.jsonl")
    config.data.validation_fraction = 0.0
    config.train.random_cuts = True
    config.train.epochs, config.train.batch_size = 2, 20
    config.train.checkpoint_seconds = 0.0
    check_config(config)
    return config


@pytest.mark.parametrize("teaches", [False, True])
def test_data_of_a_run(config, tmp_path, teaches):
    teacher = None
    if teaches:
        (tmp_path / "passages.txt").write_text("患者入院。" * 20 + "\n", encoding="utf-8")
        config.data.unlabelled = str(tmp_path / "passages.txt")
        config.distillation.teacher = "rules"
        labels = read_tagging_data(config, tmp_path / "model", None).labels
        teacher = _Rules(TagTable(labels, config.model.scheme).tags)
    data = read_tagging_data(config, tmp_path / "model", None, teacher)
    again = read_tagging_data(config, tmp_path / "model", None, teacher)
    assert data.digest == again.digest
    first, second = data.examples(0), data.examples(1)
    for name in ("token_ids", "tag_ids", "offsets", "targets"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again.examples(0), name))
    assert len(first.lengths) == len(second.lengths)
    assert (first.offsets != second.offsets).any()
    config.train.random_cuts = False
    fixed = read_tagging_data(config, tmp_path / "model", None, teacher)
    assert fixed.annotated == data.annotated
    assert len(fixed.examples(0).lengths) == len(first.lengths) == data.annotated + 4 * teaches
    assert fixed.examples(0) is fixed.examples(1)
    assert fixed.digest != data.digest

    def updates(data, epoch):
        lengths, drawn = data.examples(epoch).lengths, 2 * teaches
        plan = plan_epoch(lengths, seed=1, epoch=epoch, batch_size=3, always=data.annotated, drawn=drawn)
        return len(plan.batches)

    assert len({updates(some, epoch) for some in (data, fixed) for epoch in range(5)}) == 1


class _Killed(BaseException):
    """Ends a run where it is raised."""


def _state(model_dir):
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(f"{model_dir}/checkpoints/last"))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith(("model/", "optimizer/"))]
    history = json.loads(pathlib.Path(model_dir, "history.json").read_text(encoding="utf-8"))
    losses = [entry["losses"] for entry in history]
    return {name: reader.get_tensor(name).tobytes() for name in names}, losses


def test_a_run_that_is_killed(config, monkeypatch, tmp_path, eager):
    cut = []
    make = tagging_task.training_dataset

    def recording(examples, batches, **options):
        cut.append(examples.offsets.tolist())
        return make(examples, batches, **options)

    monkeypatch.setattr(tagging_task, "training_dataset", recording)
    metrics = train(config, str(tmp_path / "whole"))
    data = read_tagging_data(config, tmp_path / "whole", None)
    epochs = [data.examples(epoch).offsets.tolist() for epoch in range(2)]
    # The first is asked for its shapes alone.
    assert cut == [epochs[0], *epochs]
    save = CheckpointFolder.save

    def killing(folder, values, number):
        # In the second epoch, after its first update.
        if number > metrics["updates"] // 2 + 1:
            raise _Killed
        save(folder, values, number)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFolder, "save", killing)
        with pytest.raises(_Killed):
            train(config, str(tmp_path / "parts"))
    train(config, str(tmp_path / "parts"))
    assert cut[3:] == [epochs[0], *epochs, epochs[0], epochs[1]]
    assert _state(tmp_path / "parts") == _state(tmp_path / "whole")
