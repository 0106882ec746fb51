"""Renders the report as a Markdown page: computes the cells of its tables for the template `paper.md.jinja`."""

import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2

from emr_ner_tf.data.labels import CCKS2019_LABELS
from emr_ner_tf.experiments.markdown import code, code_block, link, plain, target
from emr_ner_tf.experiments.paper_results import TEST_RECORDS, WHAT

Values = Mapping[str, Any]
_ENCODERS = {"none": "", "base": "as it is", "adapted": "adapted", "elmo": "ELMo"}
_FIGURES = ("precision", "recall", "f1")
_DISTURBED = " (disturbed)"


def page(
    report: Values,
    systems: Sequence[Values],
    pictures: Mapping[str, str],
    as_json: str,
    discussion: str | None,
) -> str:
    """Renders a report.

    Args:
        report: result of `emr_ner_tf.experiments.report.build_report`.
        systems: all lines of the tables, without duplicates.
        pictures: links by name, "f1" and "loss"; empty if nothing was run.
        as_json: link to the JSON file.
        discussion: link to the discussion page, or None.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        function.__name__.removeprefix("_"): function
        for function in (
            *(code, code_block, link, target, _paragraph, _rows, _label_name),
            *(_forms, _scores, _encoders_of_the_paper, _by_type, _sizes, _times, _difference, _run),
        )
    }
    return environment.get_template("paper.md.jinja").render(
        report=report,
        run=[line for line in systems if line["ours"]],
        pictures=pictures,
        as_json=as_json,
        discussion=discussion,
        headings=WHAT | {"ours": "Additional rows"},
        test_records=TEST_RECORDS,
        changes=[f"{key}={value}" for key, value in report["setup"]["overrides"].items()],
        single_seeds=sum(min(found["seeds"]) == 1 for found in report["differences"]),
        several_commits=_several_commits(report["runs"]),
    )


def _paragraph(text: str) -> str:
    """Joins the lines of a paragraph, so that no Markdown viewer shows line breaks."""
    return re.sub(r"\s*\n\s*", " ", text.strip()) + "\n"


def _rows(rows: Iterable[Sequence[Any]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in rows)


def _label_name(label: str) -> str:
    return CCKS2019_LABELS.get(label, plain(label))


def _forms(line: Values) -> Sequence[Any]:
    """Returns the cells of a line of Table III."""
    name = f"{line['type']} {CCKS2019_LABELS.get(line['type'], '')}"
    measured = "not counted" if line["measured"] is None else line["measured"]
    return name, line["train"], measured, line["validation"], line["test"]


def _scores(line: Values) -> Sequence[Any]:
    """Returns the cells of a line of the other tables."""
    paper = [f"{line['paper'][figure]:.2f}" for figure in _FIGURES] if line["paper"] else [""] * 3
    cells = [line["system"], f"`{line['row']}`", _encoder(line), *paper]
    if line["ours"] is None:
        return [*cells, line["why_not"], *[""] * 6]
    ours = [_spread(line["ours"][match][figure]) for match in ("exact", "relaxed") for figure in _FIGURES]
    return [*cells, *ours, len(line["ours"]["seeds"])]


def _encoders_of_the_paper(lines: Sequence[Values]) -> tuple[list[str], list[str]]:
    """Returns `SYSTEM: ENCODER` for lines with BERT, and the systems whose encoder the paper does not name."""
    kinds = {
        line["system"]: line["paper"]["encoder"]
        for line in lines
        if line["encoder"] in ("base", "adapted") and line["paper"]
    }
    known = [f"{system}: {_ENCODERS[kind]}" for system, kind in kinds.items() if kind]
    return known, [system for system, kind in kinds.items() if not kind]


def _by_type(line: Values) -> Sequence[Any]:
    ours = line["ours"]
    parts = [_spread(ours[part]) if part in ours else "" for part in ("seen", "unseen")]
    return line["system"], _encoder(line), *map(_spread, ours["f1_by_type"].values()), *parts


def _sizes(line: Values) -> Sequence[Any]:
    ours = line["ours"]
    minutes = _spread(ours["training_minutes"], scale=1, digits=1) + _DISTURBED * ours["disturbed"]
    return line["system"], _encoder(line), f"{ours['parameters']:,}", ours["updates"], minutes


def _times(time: Values) -> Sequence[Any]:
    minutes = [f"{time[system]:.1f}" for system in ("gru_minutes", "lstm_minutes")]
    ratios = ["" if time[ratio] is None else f"{time[ratio]:.3f}" for ratio in ("ratio", "paper")]
    return f"`{time['gru']}` / `{time['lstm']}`", _ENCODERS[time["encoder"]], *minutes, *ratios


def _difference(found: Values) -> Sequence[Any]:
    one, other = (" and ".join(precisions) for precisions in found["precisions"])
    return (
        found["table"],
        found["one"],
        found["other"],
        " / ".join(_ENCODERS[kind] or "none" for kind in dict.fromkeys(found["encoders"])),
        " and ".join(map(str, dict.fromkeys(found["seeds"]))),
        "" if found["paper"] is None else f"{found['paper']:+.2f}",
        f"{100 * found['difference']:+.2f}",
        f"{100 * found['low']:+.2f} to {100 * found['high']:+.2f}",
        f"{found['p']:.4f}",
        found["verdict"] + ("" if one == other else f" ({one} against {other})"),
    )


def _run(run: Values) -> Sequence[Any]:
    # The first results do not have the CPU.
    has = run["machine"]
    machine = plain(", ".join(filter(None, (f"{has['cores']} cores", has.get("cpu"), has["device"]))))
    minutes = f"{run['training_seconds'] / 60:.1f}"
    row, encoder = _system(run)
    minutes += _DISTURBED * run["disturbed"]
    precision = run["precision"] or ""
    return row, encoder, run["seed"], f"{100 * run['f1']:.2f}", precision, minutes, _commit(run), machine


def _system(run: Values) -> tuple[str, str]:
    kind, name = _ENCODERS[run["encoder"]["kind"]], plain(run["encoder"]["name"])
    return f"`{run['row']}`", " ".join(filter(None, (kind, name)))


def _commit(run: Values) -> str:
    return (run["commit"]["id"] or "unknown")[:10] + (" with changes" if run["commit"]["changed"] else "")


def _several_commits(runs: Iterable[Values]) -> list[str]:
    """Returns the systems whose seeds were run at more than one commit."""
    commits: dict[str, set[str]] = {}
    for run in runs:
        commits.setdefault(" ".join(filter(None, _system(run))), set()).add(_commit(run))
    return [name for name, found in commits.items() if len(found) > 1]


def _encoder(line: Values) -> str:
    named = f" ({plain(line['encoder_name'])})" if line["encoder_name"] else ""
    return f"{_ENCODERS[line['encoder']]}{named}".strip()


def _spread(value: Values, scale: float = 100, digits: int = 2) -> str:
    mean = f"{scale * value['mean']:.{digits}f}"
    return mean if value["sd"] is None else f"{mean} ± {scale * value['sd']:.{digits}f}"
