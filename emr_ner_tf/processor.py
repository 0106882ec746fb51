"""Describes the processor of this machine, from Linux's /proc/cpuinfo."""

import pathlib

CPU_INFO = pathlib.Path("/proc/cpuinfo")


def processor_fact(name: str) -> str | None:
    """Returns a field of the first processor, such as "model name"; None if the system does not have it."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
