"""Where the command begins and ends: which subcommand runs, and what the process exits with."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from gradmill.command_line.arguments import parser
from gradmill.command_line.problems import FAILED, INTERRUPTED, PIPE_CLOSED, USAGE, CommandError, UsageError
from gradmill.command_line.serve import serve
from gradmill.errors import GradmillError

SERVE = "serve"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 (refused or failed), 2 (wrong usage), 130 (interrupted) or 141 (reader gone).

    Args:
        argv: the arguments after the program's name; None takes those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no "∂" shows "?" instead of failing
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except UsageError as error:
        return _complain(str(error), USAGE)
    except (CommandError, GradmillError) as error:
        return _complain(_with_advice(error), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output once more when it exits; there is nobody to read it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return status


def _run(arguments: list[str]) -> int:
    if arguments[:1] == [SERVE]:
        return serve(arguments[1:])
    options = parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def _complain(message: str, status: int) -> int:
    sys.stderr.write(f"gradmill: error: {message}\n")
    return status


def _with_advice(error: Exception) -> str:
    advice = error.advice if isinstance(error, GradmillError) else ""
    return f"{error}\n{advice}" if advice else str(error)
