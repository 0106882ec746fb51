"""Certificates and keys in PEM, for servers and clients, with errors that name the files."""

import pathlib
import ssl

from emr_ner_tf.errors import UserError, describe_os_error


def load_key_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Loads a certificate and its key, which must have no password.

    Raises:
        UserError: a file cannot be read, is not in PEM or has a password, or the two do not match.
    """
    try:
        # Without a password, Python would prompt for one if the key is encrypted.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if b"ENCRYPTED" in pathlib.Path(key).read_bytes():
            raise UserError(
                f"{key}: a key must have no password, and this one has; `openssl pkey -in {key} -out FILE` writes one "
                "without"
            ) from None
        # A file without any PEM gives no reason.
        reason = f": {error.reason}" if error.reason else ""
        raise UserError(f"{certificate}, {key}: not a certificate and its key in PEM{reason}") from None
    except OSError as error:
        raise _unreadable(f"{certificate}, {key}", error) from None


def load_authority(context: ssl.SSLContext, path: str) -> None:
    """Loads the certificate of an authority that signs those of the other side.

    Raises:
        UserError: the file cannot be read or is not in PEM.
    """
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise UserError(f"{path}: not a certificate in PEM: {error.reason}") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(files: str, error: OSError) -> UserError:
    # OpenSSL's errors have no file.
    error.filename = files
    return UserError(describe_os_error(error))
