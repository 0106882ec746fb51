"""Finds out why a server cannot listen on an address, and what to do about it."""

import errno
import socket

_REMEDIES = {
    errno.EADDRINUSE: "the port is in use; choose another, or 0 for a free one",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own, or 0.0.0.0 for all",
    errno.EACCES: "this user may not listen on that port; choose one from 1024 upwards",
}


def listen_problem(host: str, port: int) -> str | None:
    """Tries to bind a socket of Python to the address, because gRPC's errors give no reason.

    Args:
        host: a name or an address, IPv6 without brackets.
        port: port to listen on; 0 selects a free port.

    Returns:
        The cause and the remedy; None if a server can listen there.
    """
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        return "this machine cannot find a host of that name; name one of its addresses, or 0.0.0.0 for all"
    problem = None
    for family, kind, protocol, _, address in places:
        try:
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(address)
                tried.listen(1)
            return None
        except OSError as error:
            problem = _REMEDIES.get(error.errno or 0, error.strerror)
    return problem
