"""The client that a subcommand works with, and the point it was given."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from gradmill.client import Client
from gradmill.command_line.access import tls_from, token_from
from gradmill.command_line.problems import CommandError, UsageError
from gradmill.opening import connect, local


def open_client(options: argparse.Namespace) -> Client:
    """Return a client of the server named, or of one inside this process."""
    timeout = options.timeout
    if timeout is not None and (math.isnan(timeout) or timeout <= 0):
        message = f"--timeout {timeout:g} is not a number of seconds greater than zero"
        raise UsageError(message)
    if options.server == "":
        message = "--server: the address is empty; write HOST:PORT, or leave --server out to evaluate in this process"
        raise UsageError(message)
    tls = tls_from(options)
    if options.server is None:
        return local()
    token = token_from(options)
    try:
        return connect(options.server, tls=tls, token=token, token_in_clear=options.token_in_clear)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
        raise CommandError(message) from None
    except ValueError as error:
        raise CommandError(str(error)) from None


def point_from(assignments: Sequence[str], option: str = "--at") -> dict[str, float]:
    """Return the point, or the direction, given as ``NAME=VALUE`` arguments of an option.

    Raises:
        UsageError: one is no assignment of a number, or a name is given twice.
    """
    point: dict[str, float] = {}
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        name = name.strip()
        if not sign or not name:
            message = f"{option} {assignment}: write NAME=VALUE, such as {option} x=2"
            raise UsageError(message)
        if name in point:
            message = f"{option} {assignment}: {name} is given twice"
            raise UsageError(message)
        try:
            point[name] = float(text)
        except ValueError:
            message = f"{option} {assignment}: {text!r} is not a number"
            raise UsageError(message) from None
    return point
