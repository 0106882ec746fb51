"""The number of records that a command will read, for its progress bar."""

import os
from collections.abc import Sequence
from typing import Any

from emr_ner_tf.data.atomic_io import is_stream
from emr_ner_tf.data.reading import read_again
from emr_ner_tf.progress_bar import bars_enabled


def count_for_bar(paths: Sequence[str], **reading: Any) -> int | None:
    """Counts the good records of files; a path that is listed several times counts each time.

    Args:
        paths: the files or folders.
        reading: arguments of `read_again`.

    Returns:
        The number, or None if no bar is shown or a file is a stream, which can be read only once.
    """
    if not bars_enabled() or any(is_stream(path) and not os.path.isdir(path) for path in paths):
        return None
    counts = {path: sum(1 for _ in read_again(path, **reading)) for path in set(paths)}
    return sum(counts[path] for path in paths)
