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
    try:
        pem = pathlib.Path(path).read_text(encoding="ascii")
    except UnicodeDecodeError:
        sys.exit(
            f"{path}: must be PEM, in ASCII, and it holds other bytes; convert DER with openssl -inform der"
        )
    if not pem.lstrip().startswith(begins):
        sys.exit(f"{path}: must be PEM and begin with {begins!r}")
    if name == "server_key" and ("PRIVATE KEY-----" not in pem or "ENCRYPTED" in pem):
        sys.exit(f"{path}: must hold a private key that is not encrypted")
    escaped = pem.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}: "{escaped}"\n'


def _write(path: pathlib.Path, text: str) -> None:
    # Written beside and renamed: an existing file keeps its mode, and a process that has it open could read the key.
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        os.replace(beside, path)
    except BaseException:
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
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
    try:
        _write(pathlib.Path(arguments.output), text)
    except OSError as error:
        # The error names the temporary file beside the output or, for a full disk, none.
        sys.exit(f"{arguments.output}: {error.strerror}")


if __name__ == "__main__":
    main()
