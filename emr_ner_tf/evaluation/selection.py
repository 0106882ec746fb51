"""Which records to annotate next: the least certain ones that are not alike."""

import collections
from collections.abc import Iterable

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.splitting import shingles


def select_records(
    ranked: Iterable[Document], count: int, *, max_per_form: int, known_texts: Iterable[str] = ()
) -> list[Document]:
    """Selects records from the front of a ranking, without near-duplicates and without the same mentions again.

    A record that shares 30 characters in a row with a known text or with a selected record is left out. A record whose
    predicted mentions all have surface forms that `max_per_form` selected records already have is passed over, and
    selected only if the others are too few.

    Args:
        ranked: documents with predicted mentions, those to annotate first at the front; read only as far as needed.
        count: number of records to select.
        max_per_form: number of selected records with a surface form after which the form counts as covered.
        known_texts: texts that are annotated already.

    Returns:
        At most `count` documents, in the order of the ranking, followed by those that were passed over first.
    """
    seen: set[int] = set()
    for text in known_texts:
        seen.update(shingles(text).tolist())
    selected: list[Document] = []
    passed_over: list[Document] = []
    records_with: collections.Counter[str] = collections.Counter()

    def take(document: Document) -> None:
        own = shingles(document.text).tolist()
        if seen.isdisjoint(own):
            selected.append(document)
            seen.update(own)
            records_with.update({entity.text for entity in document.entities})

    for document in ranked:
        if len(selected) >= count:
            break
        forms = {entity.text for entity in document.entities}
        if forms and all(records_with[form] >= max_per_form for form in forms):
            passed_over.append(document)
        else:
            take(document)
    for document in passed_over:
        if len(selected) >= count:
            break
        take(document)
    return selected


def shortage(asked: int, selected: int, records: int) -> str | None:
    """Returns why fewer records than asked for were selected; None if they were not fewer.

    Args:
        asked: the `count` of `select_records`.
        selected: number of records that it returned.
        records: number of ranked records, all of which it has read if it returned fewer than `asked`.
    """
    if selected >= asked:
        return None
    if selected == records:
        return f"{asked} records were asked for, and the input has only {records}, which are all selected"
    return (
        f"{asked} records were asked for, and {records - selected} of the {records} of the input are near-duplicates "
        "of known or selected ones"
    )
