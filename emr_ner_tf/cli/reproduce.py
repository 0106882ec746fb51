r"""Reproduces the paper's tables: trains and scores their systems and reports the results beside the paper's.

On two CPU cores in some days, with the same number of updates for every row (bfloat16 suits CPUs with AMX):

  emr-ner reproduce --train=train.jsonl --test=heldout.jsonl --encoder=DIR --elmo=DIR \
    --unlabelled=FILES --seeds=1 --budget=5 --override=train.precision=mixed_bfloat16

The paper's settings and number of epochs, on a machine with a GPU:

  emr-ner reproduce --train=train.jsonl --test=test.jsonl --encoder=DIR --adapted_encoder=DIR \
    --elmo=DIR --unlabelled=FILES --recipe=paper --budget=full --seeds=3

Each finished run is saved as a small JSON file in --runs_dir and is not repeated. The command can be stopped at any
time; the same command resumes it. --dry_run lists the remaining runs, --report_only only writes the report.
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
from emr_ner_tf.data.output_folders import check_output_folder
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.texts import escape_surrogates
from emr_ner_tf.errors import UsageError, UserError

_TABLES = flags.DEFINE_list(
    "tables",
    ["III", "V", "VI", "VII", "VIII", "ours"],
    "Tables of the paper to run; ours adds models that the paper does not have.",
)
_ROWS = flags.DEFINE_list("rows", [], "Run only these models; the report still shows every table.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of runs of each row, with seeds from 1.", lower_bound=1)
_TRAIN = define_path(
    "train", None, "Training records; separate several files by commas.", required=True, several=True
)
_TEST = define_path("test", None, "Test records; each run is scored on them once.", required=True)
_ENCODER = define_path(
    "encoder", "", "Encoder of the BERT rows: a directory, a name on the Hugging Face hub, or random (tiny)."
)
_ADAPTED = define_path(
    "adapted_encoder", "", "The same encoder adapted to medical text with `emr-ner pretrain`."
)
_ELMO = define_path("elmo", "", "Character language model that `emr-ner pretrain_elmo` wrote.")
_LEXICON = define_path(
    "lexicon", "", "Words or word vectors for the lattice model; by default a lexicon is built."
)
_UNLABELLED = define_path(
    "unlabelled", "", "Files of passages to build a lexicon from, separated by commas.", several=True
)
_ALL_RECORDS = define_path(
    "all_records",
    "",
    "Files whose surface forms are counted for Table III, separated by commas.",
    several=True,
)
_RECIPE = flags.DEFINE_enum(
    "recipe",
    "default",
    ["paper", "default"],
    "Settings: paper uses Table II unchanged (Adam at 1e-4); default uses the same architectures with the optimizer "
    "of the recipe `default`, which needs fewer updates.",
)
_BUDGET = flags.DEFINE_string("budget", "5", "Number of epochs of every row; full uses that of the recipe.")
_OVERRIDES = flags.DEFINE_multi_string(
    "override",
    [],
    "Change of the configuration of every row, as KEY=VALUE, such as train.precision=mixed_bfloat16.",
)
_RUNS_DIR = define_path("runs_dir", "docs/runs", "Directory for the JSON file of each finished run.")
_WORK_DIR = define_path("work_dir", "runs/reproduce", "Directory for the model directories of the runs.")
_OUTPUT = define_path(
    "output", "docs/paper.md", "Report to write; its JSON file and figures/ are written beside it."
)
_DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "List the runs and their estimated times without running them."
)
_REPORT_ONLY = flags.DEFINE_bool("report_only", False, "Only write the report of the finished runs.")
_ANY_PRECISION = flags.DEFINE_bool(
    "any_precision",
    False,
    "Count finished runs of every train.precision, such as those of machines with and without bfloat16: they are "
    "reported in one line and not repeated. New runs use that of --override=train.precision, or float32 without it.",
)
_DISTURBED = flags.DEFINE_bool(
    "disturbed",
    False,
    "Record in each new run that other work or pauses disturb its training time; the report marks such times and "
    "computes no ratio from them.",
)
# Names of runs are long: on a narrow terminal they take several lines.
_NAME_WIDTH = 20


def main() -> None:
    """Plans the runs, carries out those without a result and writes the report; fails at the end if a run failed."""
    from emr_ner_tf.experiments.any_precision import left_to_run, of_any_precision
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
    described = describe(_TRAIN.value, _TEST.value, _ALL_RECORDS.value, experiment.config().data)
    finished = finished_runs(_RUNS_DIR.value)
    if _ANY_PRECISION.value:
        runs = left_to_run(runs, finished)
    if _DRY_RUN.value:
        _show_plan(runs, finished)
        return
    failures = []
    if not _REPORT_ONLY.value:
        failures = execute_all(runs, _RUNS_DIR.value, _WORK_DIR.value, disturbed=_DISTURBED.value)
    finished, setup = finished_runs(_RUNS_DIR.value), experiment.setup()
    command = _command(setup["overrides"])
    if _ANY_PRECISION.value:
        setup = of_any_precision(setup, experiment.config().train.precision)
    report = build_report(
        finished.values(),
        _TABLES.value,
        setup,
        described,
        own_epochs=experiment.own_epochs(),
        lacks=functools.partial(missing_flag, experiment),
        command=command,
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
        raise UsageError(f"--tables must be among {', '.join(WHAT)}, got {got}")
    needed = dict.fromkeys(row for row, _ in rows_of(tables))
    for row in _ROWS.value:
        if row not in ZOO:
            raise UsageError(f"--rows must be among {', '.join(ZOO)}, got {row!r}")
        if row not in needed:
            has = f"--tables={','.join(tables)} has {', '.join(needed) or 'none'}"
            raise UsageError(f"--rows must be rows of the given tables ({has}), got {row!r}")
    if _BUDGET.value != "full" and not (_BUDGET.value.isdecimal() and int(_BUDGET.value) > 0):
        raise UsageError(f"--budget must be a number of epochs above 0, or full, got {_BUDGET.value!r}")
    if _DISTURBED.value and (_DRY_RUN.value or _REPORT_ONLY.value):
        given = "--dry_run" if _DRY_RUN.value else "--report_only"
        raise UsageError(f"--disturbed marks new runs, and {given} makes none; leave one of them out")
    if not _OUTPUT.value.endswith(".md"):
        raise UsageError(f"--output must end in .md, got {_OUTPUT.value!r}")
    folder = os.path.dirname(_OUTPUT.value) or "."
    if os.path.realpath(folder) == os.path.realpath(_RUNS_DIR.value):
        raise UsageError(
            "--output must be outside of --runs_dir, whose JSON files are read as results of runs, and the report has "
            f"one beside it, got {_OUTPUT.value!r} and {_RUNS_DIR.value!r}"
        )
    # Before hours of training; --work_dir is written to at once.
    if not _DRY_RUN.value:
        check_output_folder(folder, "the folder of --output")
    if not (_DRY_RUN.value or _REPORT_ONLY.value):
        check_output_folder(_RUNS_DIR.value, "--runs_dir")


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
            paper_f1 = f"{line['paper']['f1']:.2f}" if line["paper"] else ""
            ours = line["ours"]
            mean = f"{100 * ours['exact']['f1']['mean']:.2f}" if ours else line["why_not"]
            table.add_row(
                name, line["system"], line["encoder"], paper_f1, mean, str(len(ours["seeds"])) if ours else ""
            )
    console = results()
    print_table(console, "exact F1", table)
    console.print("written: " + ", ".join(map(str, written)), soft_wrap=True)


def _command(overrides: Mapping[str, Any]) -> str:
    """This call as the report shows it: what was given, files by name alone, and no paths of this machine."""
    files = (_TRAIN, _TEST, _ENCODER, _ADAPTED, _ELMO, _LEXICON, _UNLABELLED, _ALL_RECORDS)
    given = {flag.name: _joined(flag.value) for flag in (_TABLES, _SEEDS, _RECIPE, _BUDGET)}
    for flag in files:
        paths = split_paths(flag.value, f"--{flag.name}")
        # A path that does not exist is the name of an encoder on the hub.
        names = [os.path.basename(path.rstrip("/")) if os.path.exists(path) else path for path in paths]
        given[flag.name] = ",".join(names)
    shown = [f"--{name}={value}" for name, value in given.items() if value]
    shown += [f"--override={key}={value}" for key, value in overrides.items()]
    shown += ["--any_precision"] * _ANY_PRECISION.value
    output = _OUTPUT.value
    if output != _OUTPUT.default:
        shown.append(f"--output={os.path.basename(output) if os.path.isabs(output) else output}")
    return escape_surrogates(shlex.join(["emr-ner", "reproduce", *shown]))


def _whole(flag: flags.FlagHolder[Any]) -> str:
    """Returns absolute paths, so that a run resumes with any spelling of its paths; names on the hub do not change."""
    paths = split_paths(flag.value, f"--{flag.name}")
    return ",".join(os.path.realpath(path) if os.path.exists(path) else path for path in paths)


def _joined(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    run(main)
