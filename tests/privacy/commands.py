"""A process that runs commands, one after another, for its other end; its environment is for TensorFlow to read."""

import pathlib
import sys

TESTS = pathlib.Path(__file__).parents[1]

if __name__ == "__main__":
    sys.path[:0] = [str(TESTS / "helpers"), str(TESTS / "conformance")]
    from in_process import run_in_process
    from workers import serve

    serve(run_in_process)
