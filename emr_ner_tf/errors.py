"""Errors that a user can cause and mend: shown as one message, never as a stack trace."""


class UserError(Exception):
    """Something the user gave cannot be used; the text names it, the rule and the value received."""


class UsageError(UserError):
    """A command was called wrongly (exit status 2, where other user errors are 1)."""
