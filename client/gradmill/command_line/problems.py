"""How the command can end, and the problems it finds by itself."""

from __future__ import annotations

FAILED = 1
USAGE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141


class CommandError(Exception):
    """Something the command was given, such as a file, cannot be used."""


class UsageError(CommandError):
    """The command line itself is wrong."""
