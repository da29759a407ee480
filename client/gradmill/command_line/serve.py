"""``gradmill serve``: hands its arguments to the server, an optional part of the installation."""

from __future__ import annotations

from collections.abc import Sequence

from gradmill.extras import SERVE_COMMAND, load_server_module


def serve(arguments: Sequence[str]) -> int:
    """Run a server until it is told to stop, and return its exit status.

    Raises:
        MissingExtraError: the server is not installed; the message has the command that installs it.
    """
    status: int = load_server_module(SERVE_COMMAND, "gradmill serve").serve_main(list(arguments))
    return status
