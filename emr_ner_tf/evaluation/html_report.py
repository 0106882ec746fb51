"""The report of an evaluation as one HTML file that opens from disk and requests nothing."""

import base64
import collections
import functools
import hashlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jinja2

from emr_ner_tf.data.checks.check import check_corpus
from emr_ner_tf.data.checks.findings import KINDS as FINDINGS
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import Located
from emr_ner_tf.data.texts import escape_surrogates
from emr_ner_tf.evaluation import calibration, figures
from emr_ner_tf.evaluation.comparison import Comparison
from emr_ner_tf.evaluation.errors import (
    KINDS,
    Error,
    Matching,
    confusion,
    kind_counts,
    kinds_by_label,
    match_mentions,
)
from emr_ner_tf.evaluation.report import Report
from emr_ner_tf.evaluation.scoring import exact_counts
from emr_ner_tf.evaluation.slices import by_mention_length, by_record_length
from emr_ner_tf.evaluation.statistics import RESAMPLES, bootstrap_intervals

MAX_RECORDS = 100
# Characters of the record on each side of a mention in the table of a comparison.
_CONTEXT = 12
_MAX_DISAGREEMENTS = 200
_MAX_FINDINGS = 100
# Kinds of findings of `data check` that apply to training records only.
_OF_TRAINING = ("few_records", "rare_label", "label_in_every_record")
_LEAKS = ("leaked_record", "leaked_text")
_HERE = pathlib.Path(__file__).parent
# The page has this many colours of labels; further labels share the last one.
_COLOURS = 8


class Source(NamedTuple):
    """Names on the page.

    Attributes:
        records: name of the scored file.
        model: name of the model.
        training: name of the training file, by which mentions are seen or unseen; "" without one.
    """

    records: str
    model: str
    training: str = ""


class Segment(NamedTuple):
    """A piece of a record's text.

    Attributes:
        text: the piece.
        entity: the mention that it is; None between mentions.
        is_wrong: whether the mention belongs to an error.
    """

    text: str
    entity: Entity | None = None
    is_wrong: bool = False


def html_report(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    report: Report,
    source: Source,
    *,
    train: Sequence[Document] = (),
    comparison: Comparison | None = None,
    redact: bool = False,
    tables_only: bool = False,
) -> str:
    """Renders the report of an evaluation.

    Args:
        gold: annotated documents.
        predicted: the same documents, in the same order, with the predicted mentions.
        report: result of `emr_ner_tf.evaluation.scoring.score` for them.
        source: names on the page.
        train: training documents, to find text that the scored documents share with them.
        comparison: comparison with other predictions on the same documents.
        redact: whether to leave out all text and ids of the records; lengths, offsets, labels and numbers remain.
        tables_only: whether to leave out figures, parts of the mentions, findings and records: the small report that a
            training run writes.

    Returns:
        The page, a complete HTML document with its style, script and figures.

    Raises:
        UserError: the two sides have different documents.
    """
    labels = tuple(report.exact.by_type)
    counts = exact_counts(gold, predicted, labels)
    matchings = [match_mentions(*pair) for pair in zip(gold, predicted, strict=True)]
    errors = [error for matching in matchings for error in matching.errors]
    all_counts = [counts.sum(axis=1, keepdims=True), counts]
    intervals = [
        dict(zip(("precision", "recall", "f1"), each, strict=True)) for each in _intervals(all_counts)
    ]
    style, script = (_own_file(name) for name in ("report.css", "report.js"))
    page = _template().render(
        source=source,
        report=report,
        labels=labels,
        colour={label: min(i, _COLOURS - 1) for i, label in enumerate(labels)},
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        redact=redact,
        tables_only=tables_only,
        resamples=RESAMPLES,
        micro_interval=intervals[0],
        intervals=dict(zip(labels, intervals[1:], strict=True)),
        kinds=KINDS,
        kind_counts=kind_counts(errors),
        by_label=kinds_by_label(errors, labels),
        confusion=confusion(matchings, labels),
        slices=[] if tables_only else _slices(gold, matchings, report),
        probabilities=_probabilities(matchings, report.exact.micro.support, drawn=not tables_only),
        figure_of_scores=(
            "" if tables_only else _image(figures.draw_scores(_f1_values(report, intervals, labels)))
        ),
        records=[] if tables_only else _costliest(gold, predicted, matchings, labels, redact),
        records_with_errors=sum(bool(matching.errors) for matching in matchings),
        comparison=comparison,
        disagreements=_disagreements(gold, comparison, redact),
        findings={} if tables_only else _findings(gold, train),
    )
    # A name of a file that is not UTF-8, as a record without an id has it, is read as lone surrogates.
    return escape_surrogates(page)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "interval": _interval}
    return environment.get_template("report.html.jinja")


def _intervals(counts: Iterable[Any]) -> Iterable[Any]:
    for each in counts:
        yield from bootstrap_intervals(each).tolist()


def _f1_values(
    report: Report, intervals: Sequence[Mapping[str, Sequence[float]]], labels: Sequence[str]
) -> dict[str, tuple[float, float, float]]:
    """Returns the F1 of all labels and of each label that occurs, with its interval."""
    rows = {"all labels": report.exact.micro} | {label: report.exact.by_type[label] for label in labels}
    return {
        name: (row.f1, *interval["f1"])
        for i, ((name, row), interval) in enumerate(zip(rows.items(), intervals, strict=True))
        if not i or row.support or row.predicted
    }


def _slices(gold: Sequence[Document], matchings: Sequence[Matching], report: Report) -> list[dict[str, Any]]:
    """Returns the parts of the mentions, each with its title, counts and figure."""
    parts = [
        ("Mention length", "characters in the mention", by_mention_length(gold, matchings)),
        ("Record length", "characters in the record", by_record_length(gold, matchings)),
    ]
    if report.seen is not None and report.unseen is not None:
        seen = {"seen": report.seen.micro, "unseen": report.unseen.micro}
        parts.append(("Seen in training", "in the training records", seen))
    return [
        {"title": title, "counts": counts, "figure": _image(figures.draw_slices(counts, axis))}
        for title, axis, counts in parts
    ]


def _probabilities(matchings: Iterable[Matching], support: int, *, drawn: bool) -> dict[str, Any] | None:
    """Returns the section on probabilities, with figures if `drawn`; None if the predictions have none."""
    found = calibration.probabilities(matchings)
    if found is None:
        return None
    bins = calibration.reliability(*found)
    thresholds = calibration.threshold_scores(*found, support)
    best = thresholds.best
    return {
        "bins": bins,
        "error": calibration.expected_calibration_error(bins),
        "best": {name: float(values[best]) for name, values in thresholds._asdict().items()}
        | {"threshold": thresholds.best_threshold},
        "all": {name: float(values[0]) for name, values in thresholds._asdict().items()},
        "figures": _probability_figures(bins, thresholds) if drawn else {},
    }


def _probability_figures(
    bins: Sequence[calibration.Bin], thresholds: calibration.Thresholds
) -> dict[str, str]:
    curve, lines = figures.draw_thresholds(thresholds)
    reliability = figures.draw_reliability(bins)
    return {"reliability": _image(reliability), "curve": _image(curve), "thresholds": _image(lines)}


def _costliest(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    matchings: Sequence[Matching],
    labels: Sequence[str],
    redact: bool,
) -> list[dict[str, Any]]:
    """Returns the records with the most false positives and false negatives, as the template shows them."""

    def cost(matching: Matching) -> int:
        return sum((error.gold is not None) + (error.predicted is not None) for error in matching.errors)

    costs = [cost(matching) for matching in matchings]
    order = sorted((i for i, each in enumerate(costs) if each), key=lambda i: (-costs[i], i))
    records = []
    for i in order[:MAX_RECORDS]:
        errors = matchings[i].errors
        wrong = [{error[side] for error in errors} for side in (1, 2)]
        records.append(
            {
                "number": i + 1,
                "id": "" if redact else gold[i].id,
                "cost": costs[i],
                "characters": len(gold[i].text),
                "errors": [_error(error, labels, redact) for error in errors],
                "tokens": " ".join(sorted({token for error in errors for token in _tokens(error, labels)})),
                "sides": [] if redact else [segments(gold[i], wrong[0]), segments(predicted[i], wrong[1])],
            }
        )
    return records


def segments(document: Document, wrong: Iterable[Entity | None]) -> list[Segment]:
    """Cuts a text into mentions and what is between them; a mention that overlaps an earlier one is left out.

    Args:
        document: the text and its mentions.
        wrong: the mentions that belong to an error.
    """
    wrong, end, pieces = set(wrong), 0, []
    for entity in document.entities:
        if entity.start < end:
            continue
        pieces += [Segment(document.text[end : entity.start]), Segment(entity.text, entity, entity in wrong)]
        end = entity.end
    pieces.append(Segment(document.text[end:]))
    return [piece for piece in pieces if piece.text]


def _error(error: Error, labels: Sequence[str], redact: bool) -> dict[str, Any]:
    return {
        "kind": error.kind,
        "tokens": " ".join(_tokens(error, labels)),
        "sides": [entity and _mention(entity, redact) for entity in (error.gold, error.predicted)],
    }


def _mention(entity: Entity, redact: bool) -> dict[str, Any]:
    return {
        "label": entity.label,
        "start": entity.start,
        "end": entity.end,
        "text": "" if redact else entity.text,
        "score": entity.score,
    }


def _tokens(error: Error, labels: Sequence[str]) -> list[str]:
    """Returns what the filter of the page compares: numbers of the kind and of each label of the error."""
    return [f"{KINDS.index(error.kind)}:{labels.index(label)}" for label in error.labels]


def _disagreements(
    gold: Sequence[Document], comparison: Comparison | None, redact: bool
) -> list[dict[str, Any]]:
    if comparison is None:
        return []
    rows = []
    for found in comparison.disagreements[:_MAX_DISAGREEMENTS]:
        text, (start, end) = gold[found.record].text, (found.entity.start, found.entity.end)
        context = ("", "") if redact else (text[max(0, start - _CONTEXT) : start], text[end : end + _CONTEXT])
        rows.append(
            {
                "number": found.record + 1,
                "side": found.side,
                "is_correct": found.is_correct,
                "mention": _mention(found.entity, redact),
                "before": context[0],
                "after": context[1],
            }
        )
    return rows


def _findings(gold: Sequence[Document], train: Sequence[Document]) -> dict[str, Any]:
    """Returns what `data check` finds in the scored documents; it holds no text of them.

    Returns:
        `counts`: kind, severity, number and meaning; `first`: kind, first place, number of places and message of the
        first findings; `number` of all findings.
    """

    def located(documents: Sequence[Document], name: str) -> list[Located]:
        return [Located(document, name, number) for number, document in enumerate(documents, start=1)]

    scored = located(gold, "record")
    found = [finding for finding in check_corpus(lambda _: scored) if finding.kind not in _OF_TRAINING]
    if train:
        leaks = check_corpus(lambda _: located(train, "training record"), lambda _: scored)
        found += [finding for kind in _LEAKS for finding in leaks.of_kind(kind)]
    counts = collections.Counter((finding.severity, finding.kind) for finding in found)
    order = sorted(counts, key=lambda each: (each[0], list(FINDINGS).index(each[1])))
    found.sort(key=lambda finding: order.index((finding.severity, finding.kind)))
    return {
        "counts": [
            (kind, severity, counts[severity, kind], FINDINGS[kind].summary) for severity, kind in order
        ],
        "first": [(one.kind, one.places[:1], one.count, one.message) for one in found[:_MAX_FINDINGS]],
        "number": len(found),
    }


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _interval(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:.1f}–{100 * ends[1]:.1f}"


def _own_file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Returns the hash by which the page's Content-Security-Policy allows an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _image(svg: str) -> str:
    """Returns a figure as the address of an image: within it, its ids and style cannot meet those of the page."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
