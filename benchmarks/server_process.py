"""The development server in a process of its own."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading

_READY_S = 180.0


class Server:
    """`emr-ner serve` in a process of its own, which ends with the block.

    Attributes:
        port: of the protocol: any free one at first, then the same.
    """

    def __init__(self, versions: str | os.PathLike[str], *arguments: str, protocol: str = "grpc") -> None:
        """Prepares the command.

        Args:
            versions: directory of a bundle's versions.
            arguments: further flags.
            protocol: "grpc" or "rest"; the other has no port.
        """
        self._is_rest = protocol == "rest"
        self._command = [sys.executable, "-m", "emr_ner_tf.cli.serve", f"--bundle={versions}", *arguments]
        self._process: subprocess.Popen | None = None
        self.port = 0

    def start(self) -> None:
        """Starts it, and waits until it is ready."""
        ports = (0, self.port) if self._is_rest else (self.port, -1)
        command = [*self._command, f"--port={ports[0]}", f"--rest_port={ports[1]}"]
        # In a session of its own: Ctrl-C is for this process, which then ends it.
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        timer = threading.Timer(_READY_S, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise RuntimeError(f"the server did not become ready: status {self._process.wait()}")
        self.port = json.loads(line)["rest_port" if self._is_rest else "port"]

    def kill(self) -> None:
        """Kills it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def check(self) -> None:
        """Raises RuntimeError where it has ended on its own."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"the server ended with status {self._process.wait(0.01)}")

    def megabytes(self) -> float:
        """Returns the resident memory of the server."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def cpu_seconds(self) -> float:
        """Returns the processor time that the server has used."""
        stat = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            self.kill()
