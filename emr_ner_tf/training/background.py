"""Files that a thread writes beside the next training steps."""

import concurrent.futures
from collections.abc import Callable
from typing import Self

from absl import logging

from emr_ner_tf.errors import UserError


class BackgroundWriter:
    """Runs one job at a time in a thread. A failure is raised by the next call of `check`, `wait` or `submit`.

    At the end of a `with` block it waits for the last job, whatever ended the block.
    """

    def __init__(self) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._job: concurrent.futures.Future[None] | None = None

    def check(self) -> None:
        """Raises the failure of a job that has ended; returns at once."""
        if self._job is not None and self._job.done():
            self.wait()

    def wait(self) -> None:
        """Waits for the job and raises its failure."""
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def submit(self, job: Callable[[], None]) -> None:
        """Starts a job once the previous one has ended."""
        self.wait()
        self._job = self._pool.submit(job)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.wait()
        except UserError as error:
            if kind is None:
                raise
            # The error that ends the run is the one to report; this one is worth a line.
            logging.error("%s", error)
        finally:
            self._pool.shutdown()
