"""Checks of one form against all its occurrences: labels, repeats without a label, boundaries, variants.

The forms are collected in a first pass over the records, and their occurrences are found in a second one.
"""

import bisect
import collections
import unicodedata
from collections.abc import Callable, Iterator

from emr_ner_tf.data.checks.findings import Finding, Place, Places
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.form_index import FormIndex

PlaceOf = Callable[[int, int, str | None], Place]


class Forms:
    """The surface forms of all mentions, without white space at their edges, and their labels."""

    def __init__(self) -> None:
        self.labels: dict[str, collections.Counter[str]] = {}

    def add(self, document: Document) -> None:
        """Counts the mentions of a record."""
        for entity in document.entities:
            form = document.mention(entity).strip()
            if form:
                self.labels.setdefault(form, collections.Counter())[entity.label] += 1

    def count(self, form: str) -> int:
        """Returns the number of mentions of a form."""
        return self.labels[form].total()

    def usual_label(self, form: str) -> str:
        """Returns the most frequent label of a form; of equally frequent ones, the first in code point order."""
        return min(self.labels[form], key=lambda label: (-self.labels[form][label], label))


class Consistency:
    """Compares every record with the forms of all of them.

    Args:
        forms: forms of all records.
    """

    def __init__(self, forms: Forms) -> None:
        self._forms = forms
        self._index = FormIndex(forms.labels)
        self._variants = _variants(forms)
        self._several: dict[str, Places] = {}
        self._rare_variants: dict[str, Places] = {}
        self._missed: dict[str, Places] = {}
        self._in_parts: dict[str, Places] = {}

    def check(self, document: Document, place: PlaceOf) -> Iterator[Finding]:
        """Compares one record; yields the findings about this record only.

        Args:
            document: the record.
            place: returns the place of a span of the record, from start, end and label.
        """
        own = set()
        for entity in document.entities:
            form = document.mention(entity).strip()
            if not form:
                continue
            own.add(form)
            if len(self._forms.labels[form]) > 1 and entity.label != self._forms.usual_label(form):
                found = self._several.setdefault(form, Places())
                found.add(place(entity.start, entity.end, entity.label))
            if self._variants.get(form, form) != form:
                found = self._rare_variants.setdefault(form, Places())
                found.add(place(entity.start, entity.end, entity.label))
        unlabelled, in_parts = _occurrences(document, self._index)
        for start, end in in_parts:
            self._in_parts.setdefault(document.text[start:end], Places()).add(place(start, end, None))
        repeats: dict[str, Places] = {}
        for start, end in unlabelled:
            form = document.text[start:end]
            found = repeats if form in own else self._missed
            found.setdefault(form, Places()).add(place(start, end, None))
        for form, places in repeats.items():
            yield Finding(
                "missed_repeat",
                f"this record annotates the form as {self._forms.usual_label(form)} elsewhere, and not here",
                places.kept,
                places.count,
            )

    def finish(self) -> Iterator[Finding]:
        """Yields the findings about several records, the least ambiguous first."""
        forms = self._forms
        for form, places in _sorted(self._missed, forms):
            count = forms.count(form)
            yield Finding(
                "missed_form",
                f"{count} mentions of the form are annotated ({_by_label(forms.labels[form])}); {places.count} "
                "occurrences in records without such a mention are not",
                places.kept,
                places.count,
                {"annotated": count, "not_annotated": places.count},
            )
        for form, places in _sorted(self._several, forms):
            yield Finding(
                "several_labels",
                f"the form has the labels {_by_label(forms.labels[form])}",
                places.kept,
                places.count,
                dict(forms.labels[form].most_common()),
            )
        for form, places in _sorted(self._in_parts, forms):
            count = forms.count(form)
            yield Finding(
                "differing_boundaries",
                f"{count} mentions are the whole form; in {places.count} occurrences only a part of it is annotated",
                places.kept,
                places.count,
                {"whole": count, "in_parts": places.count},
            )
        for form, places in self._rare_variants.items():
            usual = forms.count(self._variants[form])
            yield Finding(
                "variant_forms",
                f"{usual} mentions have a form that differs only in full-width, half-width, upper-case or lower-case "
                f"letters; {places.count} have this one",
                places.kept,
                places.count,
                {"usual": usual, "this": places.count},
            )


def _by_label(counts: collections.Counter[str]) -> str:
    return ", ".join(f"{label}: {count}" for label, count in counts.most_common())


def _sorted(found: dict[str, Places], forms: Forms) -> list[tuple[str, Places]]:
    """Sorts by the share of the places among all occurrences: a rare exception is more likely a mistake."""
    return sorted(found.items(), key=lambda item: item[1].count / (item[1].count + forms.count(item[0])))


def _variants(forms: Forms) -> dict[str, str]:
    """Returns the most frequent variant of each form that has several, by form."""
    by_key: dict[str, list[str]] = {}
    for form in forms.labels:
        key = unicodedata.normalize("NFKC", form).casefold()
        if key != form or key in by_key:
            by_key.setdefault(key, []).append(form)
    usual = {}
    for key, variants in by_key.items():
        if key in forms.labels and key not in variants:
            variants.append(key)
        if len(variants) > 1:
            best = min(variants, key=lambda form: (-forms.count(form), form))
            usual |= dict.fromkeys(variants, best)
    return usual


def _occurrences(document: Document, index: FormIndex) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Finds the occurrences of forms that are not annotated, and those of which only a part is.

    Of occurrences that overlap one another, the first and of these the longest counts. An occurrence within a longer
    mention, or within a longer word of Latin letters and digits, does not count.
    """
    text = document.text
    starts = [entity.start for entity in document.entities]
    ends: list[int] = []  # for each mention, the largest end of the mentions up to it
    covered = bytearray(len(text))
    for entity in document.entities:
        ends.append(max(entity.end, ends[-1]) if ends else entity.end)
        covered[entity.start : entity.end] = b"\1" * (entity.end - entity.start)
    free, in_parts = [], []
    for start, end in index.occurrences(text):
        if _within_word(text, start, end):
            continue
        if covered.find(1, start, end) < 0:
            free.append((start, end))
            continue
        before = bisect.bisect_right(starts, start)
        if before and ends[before - 1] >= end:
            continue
        within = range(bisect.bisect_left(starts, start), bisect.bisect_left(starts, end))
        if any(document.entities[i].end <= end for i in within) and (
            not in_parts or in_parts[-1][1] <= start
        ):
            in_parts.append((start, end))
    for start, end in in_parts:
        covered[start:end] = b"\1" * (end - start)
    unlabelled: list[tuple[int, int]] = []
    for start, end in free:
        if covered.find(1, start, end) < 0 and (not unlabelled or unlabelled[-1][1] <= start):
            unlabelled.append((start, end))
    return unlabelled, in_parts


def _within_word(text: str, start: int, end: int) -> bool:
    """Returns whether a span of Latin letters or digits continues beyond one of its ends."""
    if start and _is_latin(text[start]):
        before = text[start - 1]
        decimal = before in ".．" and start > 1 and text[start - 2].isdecimal() and text[start].isdecimal()
        if _is_latin(before) or decimal:
            return True
    return end < len(text) and _is_latin(text[end - 1]) and _is_latin(text[end])


def _is_latin(character: str) -> bool:
    """Returns whether a character is a letter or a digit, half-width or full-width, and no Chinese character."""
    return character.isalnum() and (character < "\u2e80" or "\uff00" < character < "\uff5f")
