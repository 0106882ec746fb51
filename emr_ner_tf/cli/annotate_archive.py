r"""Finds the entities of an archive of many files with Apache Beam and writes sharded results.

On this machine with two processes; paths may be on any file system that the installed Beam supports:

  emr-ner annotate_archive --bundle=runs/bundles/ner --input='archive/*.jsonl' \
    --output_dir=found --workers=2

On Flink, Spark or Dataflow, with Beam's own options:

  emr-ner annotate_archive --bundle=gs://b/ner --input='gs://b/archive/*.jsonl' \
    --output_dir=gs://b/found --beam_options='--runner=FlinkRunner --flink_master=flink:8081'

Records are assigned to found/out-00000-of-00016.jsonl and so on by their id and are sorted by id. Bad records are
listed in found/rejects.jsonl with file, byte offset and reason. found/summary.json is written last; a missing
summary.json means that the job did not complete. The same command starts it again and writes the same bytes.
"""

import logging as python_logging
import os
import shlex
import signal
import sys
import time

from absl import flags, logging

from emr_ner_tf.cli.format_flags import define_on_error
from emr_ner_tf.cli.path_flags import define_path, define_paths
from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import Terminated, UsageError, UserError

_BUNDLE = define_path(
    "bundle",
    None,
    "Bundle to load: the directory of one version, or the directory of all versions (the newest is used).",
    remote=True,
)
_INPUT = define_paths("input", "Files of records: a path, or a glob pattern with * or **.", remote=True)
_FORMAT = flags.DEFINE_enum(
    "format",
    "ccks2019",
    ["ccks2019", "text"],
    "Format of --input: ccks2019 (JSON lines) or text (one record per line), in UTF-8. Other formats are converted "
    "first: emr-ner data convert.",
)
_OUTPUT_DIR = define_path(
    "output_dir", None, "Output directory: a new one, or that of a job that did not complete.", remote=True
)
_SHARDS = flags.DEFINE_integer(
    "shards", 16, "Number of output files; a worker holds one of them in memory at a time.", 1, 99_999
)
_WORKERS = flags.DEFINE_integer(
    "workers", 1, "Number of processes on this machine; each loads the bundle.", 1
)
_ON_ERROR = define_on_error("rejects.jsonl", "skip")
_BEAM_OPTIONS = flags.DEFINE_string(
    "beam_options", "", "Options for Beam; --runner selects another runner than this machine."
)
flags.mark_flags_as_required(["bundle", "input", "output_dir"])


def main() -> None:
    """Runs the job that the flags name."""
    try:
        options = shlex.split(_BEAM_OPTIONS.value)
    except ValueError as error:
        raise UsageError(f"--beam_options: {error}") from error
    # Beam looks for optional libraries, and some of them log warnings when they are imported.
    python_logging.disable(python_logging.WARNING)
    try:
        from emr_ner_tf.beam.pipeline import ArchiveJob, annotate_archive
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("apache_beam"):
            raise
        raise UserError(f"{error.name} is missing: pip install 'emr_ner_tf[beam]'") from error
    finally:
        python_logging.disable(python_logging.NOTSET)

    from emr_ner_tf.exporting.packed_weights import keep_packed_weights

    # The workers of this machine inherit the environment.
    keep_packed_weights(_BUNDLE.value)
    job = ArchiveJob(
        bundle=_BUNDLE.value,
        inputs=_INPUT.value,
        output_dir=_OUTPUT_DIR.value,
        format=_FORMAT.value,
        shards=_SHARDS.value,
        skip=_ON_ERROR.value == "skip",
    )
    started = time.monotonic()
    try:
        summary = annotate_archive(job, workers=_WORKERS.value, beam_options=options)
    except UsageError:
        # Nothing has begun.
        raise
    except UserError as error:
        _end(str(error), 1)
    except KeyboardInterrupt:
        _end("interrupted", 130)
    except Terminated as error:
        _end(f"terminated by {signal.Signals(error.signal_number).name}", 128 + error.signal_number)
    if summary["rejected"]:
        logging.warning("%d records rejected, see %s/rejects.jsonl", summary["rejected"], job.output_dir)
    logging.info(
        "%s: %d records, %d entities, %d characters in %d shards; %.1f records/s",
        job.output_dir,
        summary["records"],
        summary["entities"],
        summary["characters"],
        summary["shards"],
        summary["records"] / (time.monotonic() - started),
    )


def _end(message: str, status: int) -> None:
    """Exits at once: Beam's threads would wait for the workers, which only end when this process does."""
    print(message, file=sys.stderr, flush=True)
    os._exit(status)


if __name__ == "__main__":
    run(main)
