"""A script as a process of its own that answers questions, and its other end. Nothing here imports TensorFlow."""

import gc
import os
import pathlib
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any


class Worker:
    """Runs a script that calls `serve`, of this folder if it has no other; a context manager."""

    def __init__(self, script: str | os.PathLike[str], **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).parent / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"} | environment,
        )

    def ask(self, *question: Any) -> Any:
        """Returns the script's answer; an error there is one here, with its trace."""
        pickle.dump(question, self._process.stdin)
        self._process.stdin.flush()
        error, answer = pickle.load(self._process.stdout)
        assert not error, error
        return answer

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        # It has nothing left to do but to take its graphs apart, which takes long.
        self._process.kill()
        self._process.communicate()


def serve(answer: Callable[..., Any]) -> None:
    """Answers one question after another until there are no more."""
    # Graphs are many objects that live long, as in the process of the tests (tests/conftest.py).
    gc.set_threshold(50_000, 20, 20)
    # Whatever a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            question = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            outcome = "", answer(*question)
        except Exception:
            outcome = traceback.format_exc(), None
        pickle.dump(outcome, answers)
        answers.flush()
