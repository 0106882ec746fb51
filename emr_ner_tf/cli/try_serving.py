"""From a trained model to a client's answer, in one go: export, serve, annotate over gRPC.

  python -m emr_ner_tf.cli.try_serving --model_dir=runs/mine --output=runs/bundles/ner --text='患者因腹痛入院。'

Each step is one of the commands that you would type; it is shown before it runs. The server is the one for development,
on a free port of this machine, and ends when the text is annotated; with --stay it goes on until Ctrl-C. In production
TensorFlow Serving takes its place, with the same bundle and the same clients.
"""

import json
import signal
import subprocess

from absl import flags

from emr_ner_tf.cli.console import announce, command_argv, results, step
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import UserError

_MODEL_DIR = define_path("model_dir", None, "A directory that the train main has written.")
_OUTPUT = define_path("output", None, "Directory of the bundle's versions; takes a new one.")
_TEXT = flags.DEFINE_string("text", "患者因右肺上叶腺癌入院。", "The record that the client sends.")
_STAY = flags.DEFINE_bool("stay", False, "Go on serving until Ctrl-C.")
flags.mark_flags_as_required(["model_dir", "output"])


def main() -> None:
    """Runs the three steps, and ends the server whatever happens."""
    console = results()
    step(console, "1/3 export", "export", f"--model_dir={_MODEL_DIR.value}", f"--output={_OUTPUT.value}")
    serve = ("serve", f"--bundle={_OUTPUT.value}", "--port=0", "--rest_port=0")
    announce(console, "2/3 serve", *serve)
    with subprocess.Popen(command_argv(*serve), stdout=subprocess.PIPE, text=True) as server:
        try:
            ready = server.stdout.readline()
            if not ready:
                raise UserError(f"the server ended with status {server.wait()}; its message stands above")
            address = f"127.0.0.1:{json.loads(ready)['port']}"
            step(
                console,
                "3/3 annotate, by a client",
                "annotate",
                f"--server={address}",
                f"--text={_TEXT.value}",
                "--colour=always" if console.is_terminal else "--colour=never",
            )
            if _STAY.value:
                console.print(f"\nserving on {address} until Ctrl-C")
                server.wait()
        finally:
            # Ctrl-C has reached the server, too.
            server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    run(main)
