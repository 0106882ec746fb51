"""Opens a page in the browser to try a bundle: paste a text or drop a file, and see the mentions.

  emr-ner try --bundle=runs/bundles/ner

The page compares several bundles, or several versions of one:

  emr-ner try --bundle=runs/bundles/ner --bundle=runs/bundles/other
  emr-ner try --bundle=runs/bundles/ner --num_versions=2

The page is served by this command on this machine and sends no request anywhere else. Ctrl-C ends it. `emr-ner serve
--page` serves the same page beside the interfaces of TensorFlow Serving.
"""

import contextlib
import pathlib
import re
import tempfile
import threading
import webbrowser

from absl import flags, logging

from emr_ner_tf.cli.path_flags import define_paths
from emr_ner_tf.cli.runner import run
from emr_ner_tf.cli.server_process import serve_until_signal
from emr_ner_tf.data.texts import escape_surrogates

_BUNDLE = define_paths("bundle", "Directory of a bundle's versions, or of one version.", required=True)
_NUM_VERSIONS = flags.DEFINE_integer("num_versions", 1, "Number of newest versions of each bundle.", 1)
_PORT = flags.DEFINE_integer("port", 0, "Port of the page on this machine; 0 picks a free port.", 0, 65535)
_NO_BROWSER = flags.DEFINE_bool("no_browser", False, "Only print the address of the page.")


def main() -> None:
    """Serves the page until a signal arrives."""
    from emr_ner_tf.exporting.packed_weights import keep_packed_weights
    from emr_ner_tf.exporting.versioning import GRAPH, version_number
    from emr_ner_tf.server.server import Server, ServerOptions

    keep_packed_weights(*_BUNDLE.value)
    with contextlib.ExitStack() as stack:
        bundles: dict[str, str] = {}
        for given in _BUNDLE.value:
            path = pathlib.Path(given)
            name = path.resolve().name
            version = version_number(name)
            if (path / GRAPH).exists() and version is not None:
                # The server takes a directory of versions.
                folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
                (folder / name).symlink_to(path.resolve())
                path, name = folder, f"{path.resolve().parent.name} {name}"
            bundles[_unused(name, bundles)] = str(path)
        (name, bundle), *others = bundles.items()
        options = ServerOptions(
            bundle=bundle,
            model_name=name,
            more_models=dict(others),
            port=0,
            rest_port=_PORT.value,
            num_versions=_NUM_VERSIONS.value,
            page=True,
            # One person of this machine waits for the answer, and a long text may take minutes.
            rest_timeout_s=3600.0,
        )
        server = Server(options)
        # The versions are loaded, and their directories of links can go.
    address = f"http://127.0.0.1:{server.rest_port}/"
    serve_until_signal(server, 1.0, address, lambda: _open(address))


def _unused(name: str, taken: dict[str, str]) -> str:
    """Returns a name for a model that no other model has, from that of a directory, which may not be UTF-8."""
    name = re.sub("[/:]", "-", escape_surrogates(name)) or "model"
    number = 2
    unused = name
    while unused in taken:
        unused, number = f"{name} {number}", number + 1
    return unused


def _open(address: str) -> None:
    if _NO_BROWSER.value:
        return

    def work() -> None:
        if not webbrowser.open(address):
            logging.info("no browser was found; open %s", address)

    # A browser of the terminal would hold up the server.
    threading.Thread(target=work, daemon=True).start()


if __name__ == "__main__":
    run(main)
