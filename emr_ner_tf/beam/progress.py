"""Progress of a job on this machine: workers count records in files of a folder, and the launcher shows the sum."""

import contextlib
import os
import pathlib
import struct
import tempfile
import threading
from collections.abc import Iterator

from emr_ner_tf.log_interval import LogInterval
from emr_ner_tf.progress_bar import ProgressBar, bars_enabled

# The folder is in the environment of the workers.
FOLDER = "EMR_NER_PROGRESS_FOLDER"
INTERVAL_SECONDS = 0.5
_COUNT = struct.Struct("<q")


@contextlib.contextmanager
def shown_progress(title: str) -> Iterator[None]:
    """Shows a bar of the records that workers, which the block starts, have counted; without a terminal, shows none.

    Args:
        title: description of the job.
    """
    if not bars_enabled():
        yield
        return
    ended = threading.Event()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ProgressBar(title, None) as bar:
        shown = 0

        def show() -> None:
            nonlocal shown
            is_last = False
            while not is_last:
                is_last = ended.wait(INTERVAL_SECONDS)
                count = _counted(folder)
                bar.advance(count - shown)
                shown = count

        os.environ[FOLDER] = folder
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            del os.environ[FOLDER]
            ended.set()
            thread.join()


def _counted(folder: str) -> int:
    written = (path.read_bytes() for path in pathlib.Path(folder).iterdir())
    return sum(_COUNT.unpack(count)[0] for count in written if count)


class RecordCounter:
    """Counts the records of one step of a worker, in a file if the launcher shows a bar."""

    def __init__(self) -> None:
        self.count = 0
        folder = os.environ.get(FOLDER)
        self._file = None if folder is None else tempfile.mkstemp(dir=folder)[0]
        self._interval = LogInterval(INTERVAL_SECONDS)

    @property
    def is_shown(self) -> bool:
        """Whether the launcher shows a bar."""
        return self._file is not None

    def add(self, records: int) -> None:
        """Counts records, and writes the count from time to time."""
        self.count += records
        if self._interval.due():
            self.flush()

    def flush(self) -> None:
        """Writes the count."""
        if self._file is not None:
            os.pwrite(self._file, _COUNT.pack(self.count), 0)
