"""Records to annotate next, by hand."""

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.evaluation.selection import select_records, shortage


def _record(number, form, text=""):
    text = f"{form}{text or chr(0x4E00 + number) * 40}"
    return Document(str(number), text, [Entity(0, len(form), "症状")] if form else [])


def _ids(*arguments, **options):
    return [document.id for document in select_records(*arguments, **{"max_per_form": 9} | options)]


def test_the_front_of_the_ranking_read_as_far_as_needed():
    ranked = iter([_record(n, "头痛") for n in range(5)])
    assert _ids(ranked, 2) == ["0", "1"]
    assert len(list(ranked)) == 2


def test_near_duplicates_are_left_out():
    shared = "".join(chr(0x5000 + n) for n in range(30))
    records = [
        _record(1, "", f"甲{shared}"),
        _record(2, "", f"乙{shared}丙"),
        _record(3, "", shared[:-1]),
        _record(4, ""),
    ]
    assert _ids(records, 9) == ["1", "3", "4"]
    assert _ids(records, 9, known_texts=[f"丁{shared}"]) == ["3", "4"]


def test_a_cap_for_each_surface_form():
    records = [_record(n, "头痛") for n in range(4)] + [_record(4, "发热"), _record(5, "")]
    assert _ids(records, 4, max_per_form=2) == ["0", "1", "4", "5"]
    # Those that were passed over come last, if the others are too few.
    assert _ids(records, 5, max_per_form=2) == ["0", "1", "4", "5", "2"]
    both = Document("6", f"头痛咳嗽{'戊' * 30}", [Entity(0, 2, "症状"), Entity(2, 4, "症状")])
    # A record with one form that is not covered brings something new.
    assert _ids([*records[:3], both], 3, max_per_form=2) == ["0", "1", "6"]


def test_fewer_than_asked_for():
    assert _ids([_record(1, "头痛"), _record(1, "头痛")], 3) == ["1"]
    assert _ids([], 3) == []


def test_why_there_are_fewer():
    distinct = [_record(n, "") for n in range(3)]
    for records, known, asked, reason in (
        (distinct, [], 3, None),
        (distinct, [], 5, "5 records were asked for, and the input has only 3, which are all selected"),
        ([*distinct, _record(0, "")], [], 5, "and 1 of the 4 of the input are near-duplicates"),
        (
            distinct,
            [distinct[0].text],
            3,
            "and 1 of the 3 of the input are near-duplicates of known or selected",
        ),
    ):
        selected = select_records(records, asked, max_per_form=1, known_texts=known)
        said = shortage(asked, len(selected), len(records))
        assert said is None if reason is None else reason in said
