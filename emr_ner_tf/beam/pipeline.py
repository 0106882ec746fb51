"""Annotates an archive of many files with a bundle on Apache Beam and writes sharded results."""

import argparse
import contextlib
import dataclasses
import io
import logging
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import Metrics
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from emr_ner_tf.beam import sink
from emr_ner_tf.beam.local_runner import run_on_this_machine
from emr_ner_tf.beam.model_handler import BundleHandler, newest_version
from emr_ner_tf.beam.progress import RecordCounter, shown_progress
from emr_ner_tf.beam.sink import Commit, Row, WriteFile, pack, shard_name, shard_of
from emr_ner_tf.beam.source import NAMESPACE, ReadRecords, Record, find_files, spans_of
from emr_ner_tf.data.writing import record_line
from emr_ner_tf.errors import UsageError, UserError
from emr_ner_tf.log_interval import LogInterval

_LOGGER = logging.getLogger(__name__)
_LOG_SECONDS = 30.0
# An error of a worker, as quoted in a runner's message about a failed job.
_USER_ERROR = re.compile(
    r"emr_ner_tf\.errors\.UserError: (.*?)(?: \[while running '[^']*'\])?$", re.MULTILINE
)


@dataclasses.dataclass(frozen=True)
class ArchiveJob:
    """Settings of a job; every path may be on any Beam file system.

    Attributes:
        bundle: a version of a bundle, or the directory of its versions, whose newest version is used.
        inputs: patterns of files.
        output_dir: a new or empty directory, or that of a job that did not complete.
        format: "ccks2019" or "text".
        shards: number of output files.
        skip: whether bad records are written to `rejects.jsonl`; if False, the first one ends the job.
    """

    bundle: str
    inputs: Sequence[str]
    output_dir: str
    format: str = "ccks2019"
    shards: int = 16
    skip: bool = True


def annotate_archive(
    job: ArchiveJob, *, workers: int = 1, beam_options: Sequence[str] = ()
) -> dict[str, int]:
    """Runs a job on this machine, or with the runner that the options of Beam name.

    Args:
        job: settings of the job.
        workers: number of processes on this machine, among which its processors are divided.
        beam_options: flags of Beam, such as `--runner=FlinkRunner`.

    Returns:
        The summary, which is also written to the output: `records`, `entities`, `characters`, `rejected`, `shards`.

    Raises:
        UsageError: an option of Beam is wrong.
        UserError: files, bundle or output directory cannot be used, or a worker raised a UserError. Threads and
            workers may then still be running; see `run_on_this_machine`.
    """
    options = _options(beam_options)
    FileSystems.set_options(options)
    here = options.view_as(StandardOptions).runner is None
    # This finds the runner and checks its options, before the output directory is claimed.
    elsewhere = None if here else _pipeline(options)
    files = find_files(job.inputs)
    bundle = newest_version(job.bundle)
    job_id = sink.begin(job.output_dir)
    _LOGGER.info(
        "%s: %d files, %d bytes, by %s", job.output_dir, len(files), sum(dict(files).values()), bundle
    )
    threads = max(1, len(os.sched_getaffinity(0)) // workers) if here else None

    def build(pipeline: beam.Pipeline) -> None:
        add_steps(pipeline, job, files, BundleHandler(bundle, threads), job_id)

    if elsewhere is None:
        with shown_progress("annotating"):
            run_on_this_machine(build, options, workers)
    else:
        _run_elsewhere(build, elsewhere)
    return sink.finish(job.output_dir)


def add_steps(
    pipeline: beam.Pipeline,
    job: ArchiveJob,
    files: Sequence[tuple[str, int]],
    handler: BundleHandler,
    job_id: str,
) -> None:
    """Adds the steps of a job to a pipeline.

    Args:
        pipeline: an empty pipeline.
        job: settings of the job.
        files: path and size of each file.
        handler: annotates pools of records.
        job_id: id from `sink.begin`.
    """
    read = (
        pipeline
        | "Files" >> beam.Create(list(files), reshuffle=False)
        | "Spans" >> beam.FlatMap(spans_of)
        | "Spread" >> beam.Reshuffle()
        | "Read"
        >> beam.ParDo(ReadRecords(job.format, job.skip)).with_outputs(ReadRecords.REJECTS, main="pools")
    )
    records = (
        read.pools | "Annotate" >> RunInference(handler) | "Shard" >> beam.ParDo(ShardRecords(job.shards))
    )
    rejects = read[ReadRecords.REJECTS] | "Rejects" >> beam.Map(_packed_reject)
    # A shard without records is written, too.
    names = [(shard_name(shard, job.shards), pack([])) for shard in range(job.shards)]
    _ = (
        (records, rejects, pipeline | "Shards" >> beam.Create(names, reshuffle=False))
        | "Join" >> beam.Flatten()
        | "Group" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(WriteFile(job.output_dir))
        | "All" >> beam.GroupByKey()
        | "Commit" >> beam.ParDo(Commit(job.output_dir, job_id))
    )


class ShardRecords(beam.DoFn):
    """Converts annotated pools to packed rows by shard; counts records and logs progress."""

    def __init__(self, shards: int) -> None:
        super().__init__()
        self._shards = shards
        self._counters = [Metrics.counter(NAMESPACE, name) for name in ("records", "entities", "characters")]

    def setup(self) -> None:
        """Starts the counters of the log and of the bar."""
        self._interval = LogInterval(_LOG_SECONDS)
        self._counter = RecordCounter()

    def process(self, element: list[Record]) -> Iterator[tuple[str, bytes]]:
        """Yields the rows of a pool, grouped by shard."""
        rows: dict[int, list[Row]] = defaultdict(list)
        for document, path, offset in element:
            sums = len(document.entities), len(document.text)
            row = Row(document.id, path, offset, *sums, record_line(document))
            rows[shard_of(document.id, self._shards)].append(row)
            for counter, value in zip(self._counters, (1, *sums), strict=True):
                counter.inc(value)
        self._log(len(element))
        for shard, members in rows.items():
            yield shard_name(shard, self._shards), pack(members)

    def finish_bundle(self) -> None:
        """Writes the last count."""
        self._counter.flush()

    def _log(self, count: int) -> None:
        self._counter.add(count)
        if self._interval.due() and not self._counter.is_shown:
            rate = self._counter.count / self._interval.elapsed()
            _LOGGER.info("process %d: %d records, %.1f a second", os.getpid(), self._counter.count, rate)


def _packed_reject(reject: tuple[str, int, str]) -> tuple[str, bytes]:
    path, offset, line = reject
    return sink.REJECTS, pack([Row("", path, offset, 0, 0, line)])


def _options(given: Sequence[str]) -> PipelineOptions:
    """Parses options of Beam, whose own parser ignores unknown options.

    Raises:
        UsageError: a value is wrong, or no runner is named and an option is unknown.
    """
    given, stderr = list(given), io.StringIO()
    try:
        # For a wrong value, the parser prints its usage and exits.
        with contextlib.redirect_stderr(stderr):
            options = PipelineOptions(given)
            here = options.view_as(StandardOptions).runner is None

            def check(parser: argparse.ArgumentParser) -> None:
                unknown = parser.parse_known_args(given)[1]
                # A runner may have options of its own.
                if unknown and here:
                    raise UsageError(
                        f"--beam_options: Beam has no option {unknown[0]}; its options are --NAME=VALUE"
                    )

            options.get_all_options(add_extra_args_fn=check)
    except SystemExit:
        raise UsageError(f"--beam_options: {stderr.getvalue().rpartition('error: ')[2].strip()}") from None
    return options


def _pipeline(options: PipelineOptions) -> beam.Pipeline:
    try:
        return beam.Pipeline(options=options)
    except (ImportError, ValueError) as error:
        raise UsageError(f"--beam_options: {' '.join(str(error).split())}") from error


def _run_elsewhere(build: Callable[[beam.Pipeline], object], pipeline: beam.Pipeline) -> None:
    try:
        build(pipeline)
        pipeline.run().wait_until_finish()
    except Exception as error:
        # A runner raises a worker's error unchanged, or an error that quotes it.
        quoted = _USER_ERROR.search(f"{type(error).__module__}.{type(error).__qualname__}: {error}")
        if quoted is None:
            raise
        raise UserError(quoted[1]) from error
