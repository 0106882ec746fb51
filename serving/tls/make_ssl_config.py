#!/usr/bin/env python3
"""Writes TensorFlow Serving's --ssl_config_file, which contains the PEM files themselves.

  serving/tls/make_ssl_config.py --key=server.key --cert=server.crt [--client_ca=clients.crt] --output=ssl.config

With --client_ca a client must present a certificate that this authority signed (mTLS). The file contains the private
key and is readable by its owner only.
"""

import argparse
import os
import pathlib
import sys
import tempfile


def _field(name: str, path: str, begins: str) -> str:
    pem = pathlib.Path(path).read_text(encoding="ascii")
    if not pem.lstrip().startswith(begins):
        sys.exit(f"{path}: must be PEM and begin with {begins!r}")
    escaped = pem.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}: "{escaped}"\n'


def _write(path: pathlib.Path, text: str) -> None:
    # Written beside and renamed: an existing file keeps its mode, and a process that has it open could read the key.
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise


def main() -> None:
    """Reads the PEM files, escapes them and writes the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("key", "cert", "output"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--client_ca")
    arguments = parser.parse_args()
    try:
        text = _field("server_key", arguments.key, "-----BEGIN")
        text += _field("server_cert", arguments.cert, "-----BEGIN CERTIFICATE")
        if arguments.client_ca:
            text += _field("custom_ca", arguments.client_ca, "-----BEGIN CERTIFICATE")
        text += f"client_verify: {'true' if arguments.client_ca else 'false'}\n"
        _write(pathlib.Path(arguments.output), text)
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
