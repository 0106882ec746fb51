"""Tries a trained model in a server: exports it, serves the bundle and annotates a text over gRPC.

  emr-ner try_serving --model_dir=runs/mine --output=runs/bundles/ner --text='患者因腹痛入院。'

Each step is a command that you could type yourself and is shown before it runs. The development server listens on a
free port of this machine and ends after the text is annotated; with --stay it keeps serving until Ctrl-C. In
production, use TensorFlow Serving with the same bundle and the same clients.
"""

import json
import signal
import subprocess

from absl import flags

from emr_ner_tf.cli.console import announce, command_argv, results, step
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import UserError

_MODEL_DIR = define_path("model_dir", None, "Model directory that `emr-ner train` wrote.")
_OUTPUT = define_path("output", None, "Directory of the bundle's versions; a new version is added to it.")
_TEXT = flags.DEFINE_string("text", "患者因右肺上叶腺癌入院。", "Text that the client sends.")
_STAY = flags.DEFINE_bool("stay", False, "Keep serving until Ctrl-C.")
flags.mark_flags_as_required(["model_dir", "output"])


def main() -> None:
    """Runs the three steps and stops the server, also after an error."""
    console = results()
    step(console, "1/3 export", "export", f"--model_dir={_MODEL_DIR.value}", f"--output={_OUTPUT.value}")
    serve = ("serve", f"--bundle={_OUTPUT.value}", "--port=0", "--rest_port=0")
    announce(console, "2/3 serve", *serve)
    with subprocess.Popen(command_argv(*serve), stdout=subprocess.PIPE, text=True) as server:
        try:
            ready = server.stdout.readline()
            if not ready:
                raise UserError(
                    f"the server failed with status {server.wait()}; its message is printed above"
                )
            address = f"127.0.0.1:{json.loads(ready)['port']}"
            step(
                console,
                "3/3 annotate with a client",
                "annotate",
                f"--server={address}",
                f"--text={_TEXT.value}",
                "--colour=always" if console.is_terminal else "--colour=never",
            )
            if _STAY.value:
                console.print(f"\nserving on {address} until Ctrl-C")
                server.wait()
        finally:
            # After Ctrl-C, the server has received the signal, too.
            server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    run(main)
