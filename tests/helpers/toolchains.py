"""Builds with other languages' tools."""

import fcntl
import pathlib
import subprocess
import tempfile


def maven(project: pathlib.Path, *arguments: str) -> str:
    """Runs Maven on a project; returns what it prints.

    One at a time on this machine: Maven's folder of downloads does not bear two writers.
    """
    with open(pathlib.Path(tempfile.gettempdir()) / "emr_ner_maven.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["mvn", "-B", "-ntp", *arguments],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
