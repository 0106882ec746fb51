"""The console script: `emr-ner WORD ...` is `python -m emr_ner_tf.cli.WORD ...`."""

import runpy
import sys

from emr_ner_tf import __version__

COMMANDS = {
    "data": "validate, count, split and convert annotated records",
    "train": "train a tagger on annotated records",
    "evaluate": "score a model on annotated records",
    "annotate": "find the entities of raw records",
    "annotate_archive": "the same for archives, on Apache Beam",
    "export": "write a trained model as a SavedModel bundle",
    "serve": "serve a bundle for development",
    "try_serving": "export, serve and annotate from the client, in one go",
    "pretrain": "adapt an encoder to unlabelled text",
    "pretrain_elmo": "train ELMo's language model on unlabelled text",
    "reproduce": "run the paper's tables",
    "synthesize": "write the synthetic corpus",
    "quickstart": "the whole way on the synthetic corpus",
}


def console() -> None:
    """Runs the main that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in ("--help", "-h", "help"):
        print(_help())
    elif command == "--version":
        print(f"emr-ner {__version__}")
    elif command in COMMANDS:
        del sys.argv[1]
        # As its own program, so that nothing of the others is imported.
        runpy.run_module(f"emr_ner_tf.cli.{command}", run_name="__main__", alter_sys=True)
    else:
        print(f"the word must be one of {', '.join(COMMANDS)}, got {command!r}", file=sys.stderr)
        sys.exit(2)


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "Entities of Chinese electronic medical records: emr-ner WORD --FLAG=VALUE ...",
            "",
            *(f"  {command:{width}}  {what}" for command, what in COMMANDS.items()),
            "",
            "emr-ner WORD --help says more, with examples.",
        ]
    )


if __name__ == "__main__":
    console()
