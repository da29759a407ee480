"""Refusals while tracing, which name the file and the line of the user's own code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from gradmill.errors import Failure, TracingError

_PACKAGE_FOLDER = str(Path(__file__).parent) + os.sep


def refusal(problem: str, advice: str = "", *, reason: str = "TRACING_INVALID", operation: str = "") -> TracingError:
    """Return the error for a mistake in the line of the user's code that is running now.

    Args:
        problem: what is wrong.
        advice: what to write instead; empty when the problem says it.
        reason: UPPER_SNAKE name of the kind of mistake.
        operation: the operation's name, for programs; empty when it is no operation's mistake.
    """
    file, line = place_of_caller()
    metadata = {"file": file, "line": str(line)} | ({"operation": operation} if operation else {})
    message = f"{problem} ({file}, line {line})"
    return TracingError(f"{message}\n  {advice}" if advice else message, Failure(reason=reason, metadata=metadata))


def refuse(problem: str, advice: str = "", *, reason: str = "TRACING_INVALID", operation: str = "") -> NoReturn:
    """Raise the error that :func:`refusal` returns.

    Raises:
        TracingError: always.
    """
    raise refusal(problem, advice, reason=reason, operation=operation)


def place_of_caller() -> tuple[str, int]:
    """Return the file and the line of the innermost call that is not this package's own."""
    frame = sys._getframe(1)  # noqa: SLF001 - the interpreter's way to find the caller without formatting a traceback
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE_FOLDER):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
