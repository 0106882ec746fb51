"""Matching against seqeval, brute force and hand-made cases."""

import itertools
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.errors import UserError
from emr_ner_tf.evaluation.scoring import exact_counts, relaxed_matches, score, seen_mentions

LABELS = ("疾病和诊断", "药物", "手术")


@st.composite
def legal_tags(draw, length):
    tags = []
    for _ in range(length):
        allowed = ["O", *(f"B-{label}" for label in LABELS)]
        if tags and tags[-1] != "O":
            allowed.append(f"I-{tags[-1][2:]}")
        tags.append(draw(st.sampled_from(allowed)))
    return tags


@st.composite
def tagged_records(draw):
    lengths = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    return [(draw(legal_tags(n)), draw(legal_tags(n))) for n in lengths]


def document_of(tags, number):
    entities = []
    for t, tag in enumerate(tags):
        if tag.startswith("B-"):
            end = t + 1
            while end < len(tags) and tags[end] == f"I-{tag[2:]}":
                end += 1
            entities.append(Entity(t, end, tag[2:]))
    return Document(str(number), "".join(chr(0x4E00 + t) for t in range(len(tags))), tuple(entities))


@given(tagged_records())
def test_exact_match_is_seqevals_strict_mode(records):
    gold = [document_of(tags, n) for n, (tags, _) in enumerate(records)]
    found = [document_of(tags, n) for n, (_, tags) in enumerate(records)]
    exact = score(gold, found, LABELS).exact
    wanted, given_tags = [tags for tags, _ in records], [tags for _, tags in records]

    def reference(average):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return precision_recall_fscore_support(
                wanted, given_tags, average=average, scheme=IOB2, zero_division=0
            )

    present = sorted({tag[2:] for pair in records for tags in pair for tag in tags if tag != "O"})
    if not present:
        assert (exact.micro.f1, exact.macro.f1, exact.macro.types) == (0, 0, 0)
        return
    micro = exact.micro
    assert (micro.precision, micro.recall, micro.f1) == pytest.approx(reference("micro")[:3])
    macro = exact.macro
    assert (macro.precision, macro.recall, macro.f1) == pytest.approx(reference("macro")[:3])
    assert macro.types == len(present)
    by_type = reference(None)
    for label, precision, recall, f1, support in zip(present, *by_type, strict=True):
        row = exact.by_type[label]
        assert (row.precision, row.recall, row.f1) == pytest.approx((precision, recall, f1))
        assert row.support == support


SPANS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 5)).map(lambda pair: (pair[0], sum(pair))), max_size=5
)


def brute_force_matching(gold, predicted):
    """Returns the most matches of any one-to-one pairing, by trying every one of them."""
    few, many = sorted((gold, predicted), key=len)
    return max(
        sum(max(a[0], b[0]) < min(a[1], b[1]) for a, b in zip(few, chosen, strict=True))
        for chosen in itertools.permutations(many, len(few))
    )


@given(SPANS, SPANS)
def test_relaxed_match_is_a_maximum_matching(gold, predicted):
    assert relaxed_matches(gold, predicted) == brute_force_matching(gold, predicted)


@pytest.mark.parametrize(
    ("gold", "predicted", "matches"),
    [
        ([], [], 0),
        ([(0, 3)], [], 0),
        ([(0, 3)], [(3, 5)], 0),
        ([(0, 3)], [(2, 5)], 1),
        ([(0, 3), (3, 6), (6, 9)], [(0, 9)], 1),
        ([(0, 9)], [(0, 3), (3, 6), (6, 9)], 1),
        # Greedily, the first mention would take the first prediction and leave the second none.
        ([(0, 9), (0, 2)], [(1, 2), (8, 9)], 2),
        ([(0, 4), (4, 8)], [(3, 5), (5, 6)], 2),
    ],
)
def test_relaxed_match_by_hand(gold, predicted, matches):
    assert relaxed_matches(gold, predicted) == matches


def test_a_long_chain_of_overlaps():
    count = 3000
    gold = [(4 * i, 4 * i + 3) for i in range(count)]
    predicted = [(4 * i + 2, 4 * i + 5) for i in range(count - 1)]
    assert relaxed_matches(gold, predicted) == count - 1
    assert relaxed_matches(predicted, gold) == count - 1


def test_counts_by_hand():
    text = "右肺结节，行右肺切除术，服阿司匹林片，胃癌"
    gold = Document(
        "a",
        text,
        (
            Entity(0, 4, "疾病和诊断"),
            Entity(6, 11, "手术"),
            Entity(13, 18, "药物"),
            Entity(19, 21, "疾病和诊断"),
        ),
    )
    found = Document(
        "a",
        text,
        (
            Entity(0, 4, "疾病和诊断"),  # right, and known from training
            Entity(8, 11, "手术"),  # too short: right only in the relaxed sense
            Entity(13, 17, "药物"),  # too short, and that form is known
            Entity(18, 21, "药物"),  # the wrong label
        ),
    )
    report = score(
        [gold], [found], LABELS, {("右肺结节", "疾病和诊断"), ("阿司匹林", "药物"), ("胃癌", "手术")}
    )
    counts = {
        label: (row.true_positives, row.false_positives, row.false_negatives)
        for label, row in report.exact.by_type.items()
    }
    assert counts == {"疾病和诊断": (1, 0, 1), "药物": (0, 2, 1), "手术": (0, 1, 1)}
    relaxed = {
        label: (row.true_positives, row.false_positives, row.false_negatives)
        for label, row in report.relaxed.by_type.items()
    }
    assert relaxed == {"疾病和诊断": (1, 0, 1), "药物": (1, 1, 0), "手术": (1, 0, 0)}
    seen, unseen = report.seen.micro, report.unseen.micro
    assert (seen.true_positives, seen.false_positives, seen.false_negatives) == (1, 1, 0)
    # 胃癌 stood in training, but under another label: as that label it is unseen.
    assert (unseen.true_positives, unseen.false_positives, unseen.false_negatives) == (0, 2, 3)
    assert report.exact.micro.precision == pytest.approx(1 / 4)
    assert report.exact.micro.recall == pytest.approx(1 / 4)
    assert report.relaxed.micro.f1 == pytest.approx(2 * 3 / 8)
    assert report.exact.macro.f1 == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert report.exact.macro.types == 3


@given(tagged_records(), st.integers(0, 7))
def test_seen_and_unseen_part_the_exact_counts(records, half):
    gold = [document_of(tags, n) for n, (tags, _) in enumerate(records)]
    found = [document_of(tags, n) for n, (_, tags) in enumerate(records)]
    known = {pair for pair in seen_mentions(gold + found) if ord(pair[0][0]) % 8 <= half}
    report = score(gold, found, LABELS, known)
    for label in LABELS:
        whole, seen, unseen = (part.by_type[label] for part in (report.exact, report.seen, report.unseen))
        assert whole.true_positives == seen.true_positives + unseen.true_positives
        assert whole.false_positives == seen.false_positives + unseen.false_positives
        assert whole.false_negatives == seen.false_negatives + unseen.false_negatives


def test_a_mention_predicted_twice_matches_once():
    gold = Document("a", "胃癌", (Entity(0, 2, "药物"),))
    twice = Document("a", "胃癌", (Entity(0, 2, "药物"), Entity(0, 2, "药物")))
    for scores in (score([gold], [twice], LABELS).exact, score([gold], [twice], LABELS).relaxed):
        row = scores.by_type["药物"]
        assert (row.true_positives, row.false_positives, row.false_negatives) == (1, 1, 0)


def test_seen_mentions_are_pairs_of_form_and_label():
    documents = [
        Document("a", "胃癌与胃", (Entity(0, 2, "疾病和诊断"), Entity(3, 4, "解剖部位"))),
        Document("b", "胃癌", (Entity(0, 2, "疾病和诊断"),)),
    ]
    assert seen_mentions(documents) == {("胃癌", "疾病和诊断"), ("胃", "解剖部位")}


@pytest.mark.parametrize(
    ("gold", "predicted", "said"),
    [
        ([Document("a", "胃癌")], [], "1 annotated and 0 predicted"),
        ([Document("a", "胃癌")], [Document("b", "胃癌")], "'a' and with id 'b'"),
        ([Document("a", "胃癌")], [Document("a", "胃癌 ")], "different texts of 2 and 3 characters"),
        (
            [Document("a", "胃癌", (Entity(0, 2, "x"),))],
            [Document("a", "胃癌")],
            "annotated mentions must be one of",
        ),
        ([Document("a", "胃癌")], [Document("a", "胃癌", (Entity(0, 2, "x"),))], "got 'x'"),
    ],
)
def test_what_cannot_be_scored(gold, predicted, said):
    with pytest.raises(UserError) as error:
        score(gold, predicted, LABELS)
    assert said in str(error.value)
    assert "胃癌" not in str(error.value)


def test_nothing_to_score():
    report = score([], [], LABELS, ())
    assert report.records == 0
    assert report.exact.micro.f1 == report.relaxed.macro.f1 == report.unseen.micro.f1 == 0


def test_counts_of_each_record():
    gold = [
        Document("a", "头痛头痛", (Entity(0, 2, "疾病和诊断"), Entity(2, 4, "疾病和诊断"))),
        Document("b", "无", ()),
        Document("c", "阿司匹林", (Entity(0, 4, "药物"),)),
    ]
    found = [
        Document(
            "a", "头痛头痛", (Entity(0, 2, "疾病和诊断"), Entity(2, 4, "手术"), Entity(1, 2, "疾病和诊断"))
        ),
        Document("b", "无", (Entity(0, 1, "药物"),)),
        Document("c", "阿司匹林", (Entity(0, 4, "药物"),)),
    ]
    counts = exact_counts(gold, found, LABELS)
    assert counts.sum(axis=1).tolist() == [[1, 2, 1], [0, 1, 0], [1, 0, 0]]
    assert counts[0].tolist() == [[1, 1, 1], [0, 0, 0], [0, 1, 0]]
    micro = score(gold, found, LABELS).exact.micro
    assert (micro.true_positives, micro.false_positives, micro.false_negatives) == (2, 3, 1)
    with pytest.raises(UserError, match="2 annotated and 3 predicted"):
        exact_counts(gold[:2], found, LABELS)
