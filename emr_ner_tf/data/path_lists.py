"""Lists of paths in one string, separated by commas."""

from emr_ner_tf.errors import UsageError


def split_paths(joined: str, name: str) -> list[str]:
    """Splits a list of paths at its commas.

    Args:
        joined: the paths; "" is an empty list.
        name: the flag or key, for the message.

    Returns:
        The paths in their order.

    Raises:
        UsageError: a path is empty, as after a trailing comma.
    """
    if not joined:
        return []
    paths = joined.split(",")
    for number, path in enumerate(paths, start=1):
        if not path.strip():
            raise UsageError(
                f"{name} must be paths that are separated by single commas, and path {number} of {len(paths)} has an "
                f"empty name, got {joined!r}; remove the extra comma"
            )
    return paths
