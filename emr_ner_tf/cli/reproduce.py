r"""Runs the systems of the paper's tables, and writes the paper's figures beside ours.

What 2 cores can do in some days, the same number of updates for every row (bfloat16 suits CPUs with AMX):

  python -m emr_ner_tf.cli.reproduce --train=train.jsonl --test=heldout.jsonl --encoder=DIR --elmo=DIR \
    --unlabelled=FILES --seeds=1 --budget=5 --override=train.precision=mixed_bfloat16

The paper's own settings and epochs, for a machine with a GPU:

  python -m emr_ner_tf.cli.reproduce --train=train.jsonl --test=test.jsonl --encoder=DIR --adapted_encoder=DIR \
    --elmo=DIR --unlabelled=FILES --recipe=paper --budget=full --seeds=3

Each finished run is a small JSON in --runs_dir and is not run again, here or wherever that directory is; kill it at any
moment, and the same command goes on. --dry_run lists what is left, --report_only writes the report of what is there.
"""

import functools
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from rich.table import Table

from emr_ner_tf.cli.console import print_table, results
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.errors import UsageError, UserError

_TABLES = flags.DEFINE_list(
    "tables",
    ["III", "V", "VI", "VII", "VIII", "ours"],
    "Of the paper; ours: rows of the zoo that it has not.",
)
_ROWS = flags.DEFINE_list(
    "rows", [], "Run these rows of the zoo alone; the report shows every table all the same."
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each row, with seeds 1 to this.", lower_bound=1)
_TRAIN = define_path(
    "train", None, "Training records; several files joined by commas.", required=True, several=True
)
_TEST = define_path("test", None, "Records that each run is scored on, once.", required=True)
_ENCODER = define_path("encoder", "", "Of the BERT rows: directory, hub name, or random (tiny).")
_ADAPTED = define_path("adapted_encoder", "", "The same encoder adapted to medical text (cli.pretrain).")
_ELMO = define_path("elmo", "", "Directory of the character language model.")
_LEXICON = define_path("lexicon", "", "Words or vectors for the lattice; without it one is built.")
_UNLABELLED = define_path("unlabelled", "", "Files of passages that a lexicon is built from.", several=True)
_ALL_RECORDS = define_path("all_records", "", "Files whose surface forms Table III counts.", several=True)
_RECIPE = flags.DEFINE_enum(
    "recipe",
    "default",
    ["paper", "default"],
    "Table II as it stands (Adam at 1e-4), or its architectures under the optimiser of the recipe `default`, which "
    "learns in few updates what starts at random.",
)
_BUDGET = flags.DEFINE_string("budget", "5", "Epochs of every row, or full: the recipe's own.")
_OVERRIDES = flags.DEFINE_multi_string(
    "override", [], "KEY=VALUE of the configuration, for every row: train.precision=mixed_bfloat16."
)
_RUNS_DIR = define_path("runs_dir", "docs/runs", "Takes and holds a JSON of each finished run.")
_WORK_DIR = define_path("work_dir", "runs/reproduce", "Takes the model directory of each run.")
_OUTPUT = define_path("output", "docs/paper.md", "The report; its JSON and figures/ stand beside it.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "List the runs and their estimated times, and write nothing.")
_REPORT_ONLY = flags.DEFINE_bool(
    "report_only", False, "Run nothing, and write the report of the runs there are."
)
# Names of runs are long: on a narrow terminal they take several lines.
_NAME_WIDTH = 20


def main() -> None:
    """Plans, runs what has no result yet, and writes the report; fails at the end where a run has failed."""
    from emr_ner_tf.experiments.data_summary import describe
    from emr_ner_tf.experiments.report import build_report, write_report
    from emr_ner_tf.experiments.runner import execute_all, finished_runs
    from emr_ner_tf.experiments.runs import Experiment, missing_flag, plan

    _check_flags()
    kinds = {"base": _ENCODER, "adapted": _ADAPTED, "elmo": _ELMO}
    experiment = Experiment(
        train=_whole(_TRAIN),
        test=_whole(_TEST),
        encoders={kind: _whole(flag) for kind, flag in kinds.items()},
        lexicon=_whole(_LEXICON),
        unlabelled=_whole(_UNLABELLED),
        recipe=_RECIPE.value,
        epochs=None if _BUDGET.value == "full" else int(_BUDGET.value),
        overrides=tuple(_OVERRIDES.value),
    )
    runs = plan(experiment, _TABLES.value, _ROWS.value, _SEEDS.value)
    described = describe(_TRAIN.value, _TEST.value, _ALL_RECORDS.value, experiment.config())
    if _DRY_RUN.value:
        _show_plan(runs, finished_runs(_RUNS_DIR.value))
        return
    failures = [] if _REPORT_ONLY.value else execute_all(runs, _RUNS_DIR.value, _WORK_DIR.value)
    finished, setup = finished_runs(_RUNS_DIR.value), experiment.setup()
    report = build_report(
        finished.values(),
        _TABLES.value,
        setup,
        described,
        own_epochs=experiment.own_epochs(),
        lacks=functools.partial(missing_flag, experiment),
        command=_command(setup["overrides"]),
    )
    written = write_report(report, finished.values(), _OUTPUT.value)
    _summary(report, written)
    if failures:
        raise UserError("\n".join([f"{len(failures)} of {len(runs)} runs failed:", *failures]))


def _check_flags() -> None:
    from emr_ner_tf.experiments.paper_results import WHAT, rows_of
    from emr_ner_tf.models.registry import ZOO

    tables = _TABLES.value or []
    unknown = [table for table in tables if table not in WHAT]
    if unknown or not tables:
        got = repr(unknown[0]) if unknown else "none"
        raise UsageError(f"--tables must be some of {', '.join(WHAT)}, got {got}")
    needed = dict.fromkeys(row for row, _ in rows_of(tables))
    for row in _ROWS.value:
        if row not in ZOO:
            raise UsageError(f"--rows must be some of {', '.join(ZOO)}, got {row!r}")
        if row not in needed:
            has = f"--tables={','.join(tables)} has {', '.join(needed) or 'none'}"
            raise UsageError(f"--rows must be rows of the tables named ({has}), got {row!r}")
    if _BUDGET.value != "full" and not (_BUDGET.value.isdecimal() and int(_BUDGET.value) > 0):
        raise UsageError(f"--budget must be a number of epochs above 0, or full, got {_BUDGET.value!r}")
    if not _OUTPUT.value.endswith(".md"):
        raise UsageError(f"--output must end in .md, got {_OUTPUT.value!r}")


def _show_plan(runs: Sequence[Any], finished: Mapping[str, Any]) -> None:
    from emr_ner_tf.experiments.runner import estimated_seconds, time_left
    from emr_ner_tf.training.progress_log import clock

    table = Table()
    table.add_column("run", overflow="fold", min_width=_NAME_WIDTH)
    table.add_column("training time", justify="right")
    for each in runs:
        guess = estimated_seconds(each, finished)
        left = "unknown" if guess is None else f"about {clock(guess)}"
        table.add_row(each.name, "finished" if each.name in finished else left)
    console = results()
    print_table(console, f"{len(runs)} runs", table)
    left = [each for each in runs if each.name not in finished]
    console.print(f"{len(left)} left; time: {time_left(left, finished)}")


def _summary(report: Mapping[str, Any], written: Sequence[os.PathLike[str]]) -> None:
    table = Table()
    for name in ("table", "system", "encoder", "paper", "ours", "seeds"):
        table.add_column(name, overflow="fold")
    for name, lines in report["tables"].items():
        for line in lines:
            said = f"{line['paper']['f1']:.2f}" if line["paper"] else ""
            ours = line["ours"]
            mean = f"{100 * ours['exact']['f1']['mean']:.2f}" if ours else line["why_not"]
            table.add_row(
                name, line["system"], line["encoder"], said, mean, str(len(ours["seeds"])) if ours else ""
            )
    console = results()
    print_table(console, "exact F1", table)
    console.print("written: " + ", ".join(map(str, written)), soft_wrap=True)


def _command(overrides: Mapping[str, Any]) -> str:
    """This call as the report shows it: what was given, files by name alone, and nothing of where things are kept."""
    files = (_TRAIN, _TEST, _ENCODER, _ADAPTED, _ELMO, _LEXICON, _UNLABELLED, _ALL_RECORDS)
    given = {flag.name: _joined(flag.value) for flag in (_TABLES, _SEEDS, _RECIPE, _BUDGET)}
    for flag in files:
        paths = split_paths(flag.value, f"--{flag.name}")
        # What is not here is the name of an encoder in the hub.
        names = [os.path.basename(path.rstrip("/")) if os.path.exists(path) else path for path in paths]
        given[flag.name] = ",".join(names)
    shown = [f"--{name}={value}" for name, value in given.items() if value]
    shown += [f"--override={key}={value}" for key, value in overrides.items()]
    return shlex.join(["python", "-m", "emr_ner_tf.cli.reproduce", *shown])


def _whole(flag: flags.FlagHolder[Any]) -> str:
    """Whole paths of files, so that an interrupted run goes on however they are spelled; hub names as they are."""
    paths = split_paths(flag.value, f"--{flag.name}")
    return ",".join(os.path.realpath(path) if os.path.exists(path) else path for path in paths)


def _joined(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    run(main)
