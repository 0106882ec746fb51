"""The annotation of an archive: records of many files into shards, by the bundle, on Apache Beam."""

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
from emr_ner_tf.beam.sink import Commit, Row, WriteFile, pack, shard_name, shard_of
from emr_ner_tf.beam.source import NAMESPACE, ReadRecords, Record, find_files, spans_of
from emr_ner_tf.data.writing import record_line
from emr_ner_tf.errors import UsageError, UserError
from emr_ner_tf.log_interval import LogInterval

_LOGGER = logging.getLogger(__name__)
_LOG_SECONDS = 30.0
# How a worker's error reads in what a runner says of a failed job.
_USER_ERROR = re.compile(
    r"emr_ner_tf\.errors\.UserError: (.*?)(?: \[while running '[^']*'\])?$", re.MULTILINE
)


@dataclasses.dataclass(frozen=True)
class ArchiveJob:
    """Settings of a job; every path may be on any Beam file system.

    Attributes:
        bundle: a bundle's version, or the directory of its versions, of which the newest is taken.
        inputs: patterns of files.
        output_dir: new, empty, or of this job when it did not finish.
        format: "ccks2019" or "text".
        shards: files of the output.
        skip: whether bad records go to `rejects.jsonl`; else the first ends the job.
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
    """Runs a job: on this machine, or where the options of Beam name a runner.

    Args:
        job: what is annotated.
        workers: processes on this machine, among which its processors are divided.
        beam_options: as Beam's own command line has them, such as `--runner=FlinkRunner`.

    Returns:
        The summary, which is also written to the output: `records`, `entities`, `characters`, `rejected`, `shards`.

    Raises:
        UsageError: options of Beam are wrong.
        UserError: files, bundle or output directory cannot be used, or a worker has met what a user can mend. See
            `run_on_this_machine` on what is then still at work.
    """
    options = _options(beam_options)
    FileSystems.set_options(options)
    here = options.view_as(StandardOptions).runner is None
    # Before the output directory is taken: this looks for the runner and checks its options.
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
        pipeline: without steps.
        job: what is annotated.
        files: path and size of each.
        handler: annotates pools.
        job_id: as `sink.begin` gave it.
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
    # A shard that no record falls into is a file, too.
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
    """Annotated pools to packed rows by the name of their shard; counts, and logs now and then."""

    def __init__(self, shards: int) -> None:
        super().__init__()
        self._shards = shards
        self._counters = [Metrics.counter(NAMESPACE, name) for name in ("records", "entities", "characters")]

    def setup(self) -> None:
        """Starts to count for the log."""
        self._interval = LogInterval(_LOG_SECONDS)
        self._count = 0

    def process(self, element: list[Record]) -> Iterator[tuple[str, bytes]]:
        """Yields the rows of a pool, those of a shard together."""
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

    def _log(self, count: int) -> None:
        self._count += count
        if self._interval.due():
            rate = self._count / self._interval.elapsed()
            _LOGGER.info("process %d: %d records, %.1f a second", os.getpid(), self._count, rate)


def _packed_reject(reject: tuple[str, int, str]) -> tuple[str, bytes]:
    path, offset, line = reject
    return sink.REJECTS, pack([Row("", path, offset, 0, 0, line)])


def _options(given: Sequence[str]) -> PipelineOptions:
    """Parses options of Beam, which would leave out those that it does not know.

    Raises:
        UsageError: a value is wrong; or, where no runner is named, an option is unknown.
    """
    given, said = list(given), io.StringIO()
    try:
        # A wrong value ends the process, after a page of usage.
        with contextlib.redirect_stderr(said):
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
        raise UsageError(f"--beam_options: {said.getvalue().rpartition('error: ')[2].strip()}") from None
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
        # A runner raises a worker's error as it is, or one that quotes it.
        told = _USER_ERROR.search(f"{type(error).__module__}.{type(error).__qualname__}: {error}")
        if told is None:
            raise
        raise UserError(told[1]) from error
