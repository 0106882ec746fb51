"""Errors of requests: gRPC's status codes, and the status codes of HTTP for them."""

import grpc
from absl import logging

# The mapping of TensorFlow Serving, which uses 500 for all other codes.
_HTTP = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class RequestError(Exception):
    """A request was refused or has failed; the message is sent to the caller and never contains a record's text.

    Attributes:
        code: gRPC status code.
        http_status: HTTP status of the REST answer.
    """

    def __init__(self, code: grpc.StatusCode, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status or _HTTP.get(code, 500)


def invalid_argument(message: str) -> RequestError:
    """Returns the error for a request that cannot succeed unchanged."""
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def log_refusal(error: RequestError) -> None:
    """Logs why a request cannot succeed unchanged; errors that depend on the load are not logged.

    Clients may hide the messages of a server, because they could quote a text; the log shows them.
    """
    if error.code == grpc.StatusCode.INVALID_ARGUMENT:
        logging.warning("refused: %s", error)


def from_exception(error: Exception) -> RequestError:
    """Returns the error for a caller, with only the type of the exception, whose message may quote the request."""
    if isinstance(error, RequestError):
        return error
    return RequestError(grpc.StatusCode.INTERNAL, f"the server failed with {type(error).__name__}")
