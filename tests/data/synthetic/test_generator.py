"""The synthetic corpus: what makes it learnable, and what makes it more than a list to remember."""

import collections
import itertools
import re

import pytest

from emr_ner_tf.data.synthetic import templates
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.data.synthetic.terms import (
    DISEASE_OR_LABORATORY,
    DRUG_OR_LABORATORY,
    IMAGE_OR_OPERATION,
    SLOTS,
)
from emr_ner_tf.errors import UserError

LABELS = {"疾病和诊断", "影像检查", "实验室检验", "手术", "药物", "解剖部位"}
SPLITS = {"train": templates.TRAIN, "test": templates.TEST}


@pytest.fixture(scope="module", params=[1, 2024])
def corpora(request):
    """Both splits as `synthesize` writes them, under two seeds."""
    return (
        list(generate("train", records=600, seed=request.param)),
        list(generate("test", records=200, seed=request.param)),
    )


def labels_of_forms(documents):
    labels = collections.defaultdict(collections.Counter)
    for document in documents:
        for entity in document.entities:
            labels[document.text[entity.start : entity.end]][entity.label] += 1
    return labels


def test_the_same_arguments_give_the_same_records():
    for split in SPLITS:
        once, again = ([*generate(split, records=20, seed=3)] for _ in range(2))
        assert once == again
        assert [d.entities for d in once] == [d.entities for d in again]
        assert [*generate(split, records=7, seed=3)] == once[:7]
        assert {d.text for d in generate(split, records=20, seed=4)}.isdisjoint(d.text for d in once)


def test_a_record_is_fixed_for_good():
    # A change of terms, templates or generator shows here, and changes every figure measured on the corpus.
    first = next(generate("train", records=1, seed=1))
    assert first.id == "synthetic-train-1-0"
    assert first.extra == {"id": first.id}
    assert first.text.startswith(
        "6月前患者无诱因出现纳差，就诊于当地医院，考虑“右肺占位性病变”。就诊于外院，行腰椎平片检查，"
    )
    assert [(e.start, e.end, e.label) for e in first.entities[:2]] == [
        (24, 31, "疾病和诊断"),
        (40, 44, "影像检查"),
    ]


def test_lengths_sentences_and_offsets(corpora):
    for document in itertools.chain(*corpora):
        assert 60 <= len(document.text) <= 400
        assert document.text.count("。") >= 2
        end = 0
        for entity in document.entities:
            assert end <= entity.start < entity.end <= len(document.text)
            end = entity.end
            assert not set(document.mention(entity)) & set("{}<>|，。、：；“” ")
        assert not set(document.text) & set("{}<>|")


def test_mentions_are_terms_of_their_slot(corpora):
    """Offsets and labels, from the other side: every mention is a term that some slot of its label has."""
    terms = collections.defaultdict(set)
    for label, groups in SLOTS.values():
        for group in groups:
            terms[label].update(group.common, group.held_out)
    for document in itertools.chain(*corpora):
        for entity in document.entities:
            assert document.mention(entity) in terms[entity.label]


def test_all_six_types_in_both_splits(corpora):
    for documents in corpora:
        counts = collections.Counter(entity.label for document in documents for entity in document.entities)
        assert set(counts) == LABELS
        assert min(counts.values()) > 0.05 * counts.total()


def test_no_record_is_written_twice(corpora):
    texts = [document.text for document in itertools.chain(*corpora)]
    ids = [document.id for document in itertools.chain(*corpora)]
    assert len(set(texts)) == len(texts)
    assert len(set(ids)) == len(ids)


def test_templates_of_the_splits_are_disjoint():
    sentences = {split: [s for section in table.values() for s in section] for split, table in SPLITS.items()}
    assert len(sentences["train"]) >= 60
    assert len(sentences["test"]) >= 25
    for split, table in SPLITS.items():
        assert tuple(table) == templates.SECTIONS
        assert len(set(sentences[split])) == len(sentences[split])
    assert not set(sentences["train"]) & set(sentences["test"])

    # Nor are two of them alike but for what they are filled with.
    def bare(sentence):
        return re.sub(r"[{<]\w+[}>]", "_", sentence)

    assert not {*map(bare, sentences["train"])} & {*map(bare, sentences["test"])}
    assert len({*map(bare, sentences["test"])}) == len(sentences["test"])


def test_no_test_sentence_is_a_training_one(corpora):
    train, test = ({s for d in documents for s in d.text.split("。") if s} for documents in corpora)
    assert not train & test


def test_at_least_two_fifths_of_test_mentions_are_unseen(corpora):
    train, test = corpora
    known = labels_of_forms(train)
    mentions = [(d.mention(e), e.label) for d in test for e in d.entities]
    unseen = [mention for mention in mentions if mention[0] not in known]
    assert len(unseen) >= 0.4 * len(mentions)
    assert len(set(unseen)) >= 0.4 * len(set(mentions))
    of_label = collections.Counter(label for _, label in mentions)
    for label, count in collections.Counter(label for _, label in unseen).items():
        assert count >= 0.4 * of_label[label], label


def test_test_records_need_no_unseen_character(corpora):
    groups = [group for _, groups in SLOTS.values() for group in groups]
    shown = {c for group in groups for term in group.common for c in term}
    shown |= {c for section in templates.TRAIN.values() for sentence in section for c in sentence}
    wanted = {c for group in groups for term in group.held_out for c in term}
    wanted |= {c for section in templates.TEST.values() for sentence in section for c in sentence}
    assert wanted <= shown
    # A corpus is a sample, so that a rare character may be missing from its training records.
    train, test = corpora
    known = {c for document in train for c in document.text}
    characters = [c for document in test for c in document.text]
    assert sum(c not in known for c in characters) < 0.001 * len(characters)


def test_held_out_terms_are_held_out_everywhere():
    groups = [group for _, groups in SLOTS.values() for group in groups]
    common = {term for group in groups for term in group.common}
    held_out = {term for group in groups for term in group.held_out}
    assert not common & held_out
    shown = set(labels_of_forms(generate("train", records=300, seed=5)))
    assert not shown & held_out
    assert "" not in common | held_out


def test_forms_of_two_types(corpora):
    """Each pair of types has forms that stand under both, in training and in test."""
    pairs = {
        ("药物", "实验室检验"): DRUG_OR_LABORATORY,
        ("影像检查", "手术"): IMAGE_OR_OPERATION,
        ("疾病和诊断", "实验室检验"): DISEASE_OR_LABORATORY,
    }
    for documents in corpora:
        labels = labels_of_forms(documents)
        for (one, other), group in pairs.items():
            both = [form for form in group.common if labels[form][one] and labels[form][other]]
            assert len(both) >= 0.6 * len(group.common), (one, other)
            assert all(set(labels[form]) <= {one, other} for form in group.common)
        # No other form has two: nothing is left for which the sentence would not decide.
        meant = {form for group in pairs.values() for form in group.common}
        assert {form for form, counts in labels.items() if len(counts) > 1} <= meant


@pytest.mark.parametrize(
    ("split", "records", "said"),
    [("dev", 3, "split must be one of train, test, got 'dev'"), ("test", -1, "at least 0, got -1")],
)
def test_wrong_arguments(split, records, said):
    with pytest.raises(UserError, match=said):
        generate(split, records=records, seed=1)


def test_no_records():
    assert list(generate("test", records=0, seed=1)) == []
