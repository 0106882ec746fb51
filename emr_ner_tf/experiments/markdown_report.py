"""The report as a page in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from emr_ner_tf.data.labels import CCKS2019_LABELS
from emr_ner_tf.experiments.markdown import code, code_block, link, plain, table, target
from emr_ner_tf.experiments.paper_results import TEST_RECORDS, WHAT

Values = Mapping[str, Any]
_ENCODERS = {"none": "", "base": "as it is", "adapted": "adapted", "elmo": "ELMo"}


def page(
    report: Values,
    systems: Sequence[Values],
    pictures: Mapping[str, str],
    as_json: str,
    discussion: str | None,
) -> str:
    """Renders a report.

    Args:
        report: of `emr_ner_tf.experiments.report.build_report`.
        systems: every line once.
        pictures: links by name, "f1" and "loss"; none where nothing was run.
        as_json: link to the same as JSON.
        discussion: link to what is written by hand, or None.
    """
    run = [line for line in systems if line["ours"]]
    parts = [*_head(report, as_json, discussion, bool(run))]
    if "f1" in pictures:
        parts.append(f"![F1 by system, the paper's and ours]({target(pictures['f1'])})")
    if report["table_III"]:
        parts += _table_iii(report)
    for name, lines in report["tables"].items():
        heading = "Rows of our own" if name == "ours" else f"Table {name}: {WHAT[name]}"
        parts += [f"## {heading}", _scores(lines)]
        if any(line["encoder"] in ("base", "adapted") and line["paper"] for line in lines):
            parts.append(_which_encoder(lines))
    if run:
        parts += ["## F1 by type", _by_type(run)]
        parts += ["## Size and time", _sizes(run), *_times(report)]
        parts += _differences(report)
        parts += [
            "## Learning curves",
            f"![Training loss by epoch]({target(pictures['loss'])})",
            "A point is the mean training loss over a twentieth of an epoch, or over a whole one where a run of its "
            "line was made before twentieths were kept.",
        ]
    parts += ["## The paper's own slips", "\n".join(f"- {slip}" for slip in report["slips"])]
    if run:
        parts += ["## Runs", _runs(report)]
    return "\n\n".join(parts) + "\n"


def _head(report: Values, as_json: str, discussion: str | None, run: bool) -> list[str]:
    setup, records = report["setup"], report["records"]
    epochs = setup["epochs"]
    counted = f"{epochs} epoch{'s' * (epochs != 1)}"
    budget = f" on a budget of {counted} a row" if report["budgeted"] else ""
    how = {
        "paper": "Table II's settings as they stand",
        "default": "Table II's architectures under the optimiser of `configs/default.py`",
    }[setup["recipe"]]
    text = [f"Recipe `{setup['recipe']}`: {how}, {counted} (its own: {report['own_epochs']})."]
    if setup["overrides"]:
        changes = ", ".join(code(f"{key}={value}") for key, value in setup["overrides"].items())
        text.append(f"Changed for every row: {changes}.")
    trained, chosen = _validation(setup["overrides"])
    for part, said, more in (("train", trained, chosen), ("test", "Scored once a run on all", "")):
        name, digest = setup[part]["name"], setup[part]["digest"]
        figures = records[part]
        text.append(
            f"{said} {figures['records']} records of {code(name)} "
            f"({figures['mentions']} mentions, digest {digest}){more}."
        )
    if records["test"]["records"] != TEST_RECORDS:
        text.append(
            f"The paper has {TEST_RECORDS} test records: its figures are a landmark here and not a target."
        )
    if run:
        text.append(f"Updates of every row: {', '.join(map(str, report['updates']))}.")
        text.append(f"A lookup of the training mentions has exact F1 {100 * report['lookup_f1']:.2f};")
        below = report["not_above_lookup"]
        text[-1] += (
            f" not above it: {', '.join(below)}."
            if below
            else " every row of these tables that was run is above it."
        )
    more = f" What deviates from the paper's order: {link(discussion, discussion)}." if discussion else ""
    return [
        f"# The paper's tables{budget}, recipe `{setup['recipe']}`",
        "Written by",
        code_block(report["command"]),
        f"The same as JSON: {link(as_json, as_json)}.{more}",
        " ".join(text),
        "P, R and F1 in %; mean over seeds, ± the standard deviation where there are two or more (n).",
    ]


def _validation(overrides: Values) -> tuple[str, str]:
    """What is said before and after the training records."""
    best = "the epoch that is best there is scored"
    if overrides.get("data.validation"):
        return "Trained on all", f"; validated on {code(overrides['data.validation'])}, {best}"
    if overrides.get("data.validation_fraction"):
        share = overrides["data.validation_fraction"]
        return (
            "Trained on a part of the",
            f": {100 * share:g} % of them, by seed, are left to validation, {best}",
        )
    return "Trained on all", ""


def _table_iii(report: Values) -> list[str]:
    rows = []
    for line in report["table_III"]:
        name = f"{line['type']} {CCKS2019_LABELS.get(line['type'], '')}"
        measured = "not counted" if line["measured"] is None else line["measured"]
        rows.append((name, line["train"], measured, line["validation"], line["test"]))
    heading = ("type", "train, the paper's", "train, counted", "validation, the paper's", "test, the paper's")
    count = report["records"].get("all_records")
    counted = f"Counted in {count} records. " if count else "Counting needs --all_records. "
    return [
        f"## Table III: {WHAT['III']}",
        table(heading, rows),
        f"{counted}The other columns are quoted: their records are not published, or not which they are.",
    ]


def _scores(lines: Sequence[Values]) -> str:
    heading = (
        "system",
        "row",
        "encoder",
        "paper P",
        "R",
        "F1",
        "exact P",
        "R",
        "F1",
        "relaxed P",
        "R",
        "F1",
        "n",
    )
    figures = ("precision", "recall", "f1")
    rows = []
    for line in lines:
        said = [f"{line['paper'][figure]:.2f}" for figure in figures] if line["paper"] else ["", "", ""]
        begin = (line["system"], f"`{line['row']}`", _encoder(line), *said)
        if line["ours"] is None:
            rows.append((*begin, line["why_not"], *[""] * 6))
            continue
        ours = [_spread(line["ours"][match][figure]) for match in ("exact", "relaxed") for figure in figures]
        rows.append((*begin, *ours, len(line["ours"]["seeds"])))
    return table(heading, rows)


def _which_encoder(lines: Sequence[Values]) -> str:
    says = {
        line["system"]: line["paper"]["encoder"] for line in lines if line["encoder"] in ("base", "adapted")
    }
    known = [f"{system}: {_ENCODERS[said]}" for system, said in says.items() if said]
    unknown = [system for system, said in says.items() if not said]
    text = f"Encoder of the paper's figures: {'; '.join(known)}." if known else ""
    if unknown:
        text += f" It does not say which one {', '.join(unknown)} had."
    return text.strip()


def _by_type(lines: Sequence[Values]) -> str:
    labels = list(lines[0]["ours"]["f1_by_type"])
    heading = (
        "system",
        "encoder",
        *(CCKS2019_LABELS.get(label, plain(label)) for label in labels),
        "seen",
        "unseen",
    )
    rows = [
        (
            line["system"],
            _encoder(line),
            *(_spread(line["ours"]["f1_by_type"][label]) for label in labels),
            *(_spread(line["ours"][part]) if part in line["ours"] else "" for part in ("seen", "unseen")),
        )
        for line in lines
    ]
    return table(heading, rows) + (
        "\n\nExact match. Seen: mentions whose form stands in the training records under the same label."
    )


def _sizes(lines: Sequence[Values]) -> str:
    rows = [
        (
            line["system"],
            _encoder(line),
            f"{line['ours']['parameters']:,}",
            line["ours"]["updates"],
            _spread(line["ours"]["training_minutes"], scale=1, digits=1),
        )
        for line in lines
    ]
    return table(("system", "encoder", "trainable parameters", "updates", "training minutes"), rows)


def _times(report: Values) -> list[str]:
    rows = [
        (
            f"`{time['gru']}` / `{time['lstm']}`",
            _ENCODERS[time["encoder"]],
            f"{time['gru_minutes']:.1f}",
            f"{time['lstm_minutes']:.1f}",
            "" if time["ratio"] is None else f"{time['ratio']:.3f}",
            "" if time["paper"] is None else f"{time['paper']:.3f}",
        )
        for time in report["training_times"]
    ]
    if not rows:
        return []
    heading = ("BiGRU / BiLSTM", "encoder", "BiGRU, minutes", "BiLSTM, minutes", "ratio", "the paper's")
    return [
        table(heading, rows),
        "On a CPU the ratio compares two implementations, too: a BiGRU trains by this project's own gradient "
        "(`docs/decisions/0006-gru-gradient.md`), a BiLSTM by Keras' loop. Times hold the tracing of the graph and the "
        "writing of checkpoints; on a machine that is shared, they are of what else it did, too.",
    ]


def _differences(report: Values) -> list[str]:
    rows = [
        (
            found["table"],
            found["one"],
            found["other"],
            _pair(found["encoders"]),
            " and ".join(map(str, dict.fromkeys(found["seeds"]))),
            "" if found["paper"] is None else f"{found['paper']:+.2f}",
            f"{100 * found['difference']:+.2f}",
            f"{100 * found['low']:+.2f} to {100 * found['high']:+.2f}",
            f"{found['p']:.4f}",
            found["verdict"],
        )
        for found in report["differences"]
    ]
    if not rows:
        return []
    heading = ("table", "system", "against", "encoder", "n", "paper", "ours", "95 %", "p", "verdict")
    return [
        "## Which differences are real",
        table(heading, rows),
        "Differences in exact F1, in points, over the seeds that both lines have. A paired bootstrap over the scored "
        f"records ({report['resamples']} resamples): `p` is two-sided, and a difference whose interval holds 0 is not "
        f"decided. Comparisons made at 95 % each: {len(rows)}; of systems that do not differ, about one pair in twenty "
        "would be decided by chance. " + _between_seeds(report["differences"]),
    ]


def _between_seeds(differences: Sequence[Values]) -> str:
    alone = sum(min(found["seeds"]) == 1 for found in differences)
    text = "The bootstrap does not cover how much another seed would change"
    if not alone:
        return f"{text}; the standard deviations above say what is known of that."
    lines = "here" if alone == len(differences) else "where an n is 1"
    return (
        f"{text}: {lines} that is unknown, and a verdict is on the models of these seeds, not on the systems."
    )


def _runs(report: Values) -> str:
    rows = []
    for run in report["runs"]:
        commit = run["commit"]
        name = (commit["id"] or "unknown")[:10] + (" with changes" if commit["changed"] else "")
        # The first results do not say which CPU.
        has = run["machine"]
        machine = plain(", ".join(filter(None, (f"{has['cores']} cores", has.get("cpu"), has["device"]))))
        encoder = " ".join(filter(None, (_ENCODERS[run["encoder"]["kind"]], plain(run["encoder"]["name"]))))
        minutes = f"{run['training_seconds'] / 60:.1f}"
        rows.append(
            (f"`{run['row']}`", encoder, run["seed"], f"{100 * run['f1']:.2f}", minutes, name, machine)
        )
    heading = ("row", "encoder", "seed", "exact F1", "minutes", "commit", "machine")
    return table(heading, rows) + _several_commits(rows)


def _several_commits(rows: Sequence[Sequence[Any]]) -> str:
    commits: dict[str, set[str]] = {}
    for row, encoder, _, _, _, commit, _ in rows:
        commits.setdefault(" ".join(filter(None, (row, encoder))), set()).add(commit)
    several = [name for name, found in commits.items() if len(found) > 1]
    if not several:
        return ""
    return (
        f"\n\nSeeds at more than one commit: {', '.join(several)}. What changed between them may be a part of their "
        "spread, and of their mean."
    )


def _encoder(line: Values) -> str:
    named = f" ({plain(line['encoder_name'])})" if line["encoder_name"] else ""
    return f"{_ENCODERS[line['encoder']]}{named}".strip()


def _pair(kinds: Sequence[str]) -> str:
    return " / ".join(_ENCODERS[kind] or "none" for kind in dict.fromkeys(kinds))


def _spread(value: Values, scale: float = 100, digits: int = 2) -> str:
    mean = f"{scale * value['mean']:.{digits}f}"
    return mean if value["sd"] is None else f"{mean} ± {scale * value['sd']:.{digits}f}"
