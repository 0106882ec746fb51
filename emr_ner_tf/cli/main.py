"""The console script: `emr-ner COMMAND ...` runs `python -m emr_ner_tf.cli.COMMAND ...`."""

import runpy
import sys

from emr_ner_tf import __version__
from emr_ner_tf.cli.runner import guarded

COMMANDS = {
    "data": "validate, check, audit, count, split and convert annotated records",
    "train": "train a tagger on annotated records",
    "evaluate": "score a model on annotated records",
    "annotate": "find the entities of raw records",
    "next": "select the records to annotate next",
    "annotate_archive": "find the entities of an archive with Apache Beam",
    "distill": "train one model from a bundle and unlabelled text",
    "export": "write a trained model as a SavedModel bundle",
    "serve": "serve a bundle for development",
    "try": "try a bundle on a page in the browser",
    "try_serving": "export a model, serve it and annotate a text",
    "pretrain": "adapt an encoder to unlabelled text",
    "pretrain_elmo": "train ELMo's language model on unlabelled text",
    "reproduce": "reproduce the paper's tables",
    "synthesize": "write a synthetic corpus",
    "quickstart": "run the whole workflow on a synthetic corpus",
}


def console() -> None:
    """Runs the command that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    outputs = {"--help": _help, "-h": _help, "help": _help, "--version": lambda: f"emr-ner {__version__}"}
    if command in outputs:
        sys.exit(guarded(lambda: print(outputs[command]())))
    elif command in COMMANDS:
        del sys.argv[1]
        # The command runs as the main program, so that no other command's module is imported.
        runpy.run_module(f"emr_ner_tf.cli.{command}", run_name="__main__", alter_sys=True)
    else:
        print(
            f"the command must be one of {', '.join(COMMANDS)}, got {command!r}; emr-ner --help describes them",
            file=sys.stderr,
        )
        sys.exit(2)


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "Finds named entities in Chinese electronic medical records: emr-ner COMMAND --FLAG=VALUE ...",
            "",
            *(f"  {command:{width}}  {what}" for command, what in COMMANDS.items()),
            "",
            "`emr-ner COMMAND --help` describes a command with examples.",
        ]
    )


if __name__ == "__main__":
    console()
