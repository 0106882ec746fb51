"""The server's certificates, for gRPC and for REST."""

import dataclasses
import pathlib
import ssl

import grpc

from emr_ner_tf.pem_files import load_authority, load_key_pair


@dataclasses.dataclass(frozen=True)
class Tls:
    """PEM files for TLS.

    Attributes:
        certificate: certificate of the server, with its chain.
        key: private key of `certificate`.
        client_ca: certificate authority that must have signed the certificates of clients; None if clients need none.
    """

    certificate: str
    key: str
    client_ca: str | None = None

    def context(self) -> ssl.SSLContext:
        """Returns the context for Python's sockets.

        Raises:
            UserError: a file is not a certificate, or the key does not match the certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_key_pair(context, self.certificate, self.key)
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            load_authority(context, self.client_ca)
        return context

    def credentials(self) -> grpc.ServerCredentials:
        """Returns the credentials for gRPC, which checks them when a client connects; `context` checks them earlier."""
        pair = (pathlib.Path(self.key).read_bytes(), pathlib.Path(self.certificate).read_bytes())
        ca = None if self.client_ca is None else pathlib.Path(self.client_ca).read_bytes()
        return grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=ca is not None)
