"""Builds with other languages' tools."""

import fcntl
import os
import pathlib
import subprocess
import tempfile

# A short run ends before code that is optimised thoroughly, on threads of its own, has paid off.
_SHORT_RUN = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def java(project: pathlib.Path, main: str) -> list[str]:
    """Returns the command of a main class of a project that Maven has compiled."""
    classpath = (project / "target/classpath").read_text(encoding="utf-8")
    return ["java", *_SHORT_RUN, "-cp", f"{project}/target/classes:{classpath}", main]


def maven(project: pathlib.Path, *arguments: str) -> str:
    """Runs Maven on a project; returns what it prints.

    One at a time on this machine: Maven's folder of downloads does not bear two writers.
    """
    with open(pathlib.Path(tempfile.gettempdir()) / "emr_ner_maven.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["mvn", "-B", "-ntp", f"-DargLine={' '.join(_SHORT_RUN)}", *arguments],
            cwd=project,
            env=os.environ | {"MAVEN_OPTS": " ".join((os.environ.get("MAVEN_OPTS", ""), *_SHORT_RUN))},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
