"""Errors of requests: gRPC's status codes, and the status codes of HTTP for them."""

import grpc
from absl import logging

# As TensorFlow Serving maps them; its list gives 500 to what is not here.
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
    """A request is refused or has failed; the message goes to the caller and never holds a record's text.

    Attributes:
        code: gRPC's status.
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
    """Tells the log why a request cannot succeed as it is; what comes and goes with the load would only fill it.

    Clients may show no message of a server's that could quote a text: here it can be read.
    """
    if error.code == grpc.StatusCode.INVALID_ARGUMENT:
        logging.warning("refused: %s", error)


def from_exception(error: Exception) -> RequestError:
    """Returns what a caller learns of an exception: only its type, because the message may quote the request."""
    if isinstance(error, RequestError):
        return error
    return RequestError(grpc.StatusCode.INTERNAL, f"the server failed with {type(error).__name__}")
