"""Files that the command reads and writes, standard input and output among them."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast

from gradmill.command_line.problems import CommandError

STANDARD_STREAM = "-"


@contextlib.contextmanager
def reading(path: str) -> Iterator[tuple[TextIO, str]]:
    """Yield a file, or standard input for "-", and what to call it.

    Raises:
        CommandError: it cannot be opened.
    """
    if path == STANDARD_STREAM:
        yield _standard_input(), "standard input"
        return
    try:
        stream = Path(path).open(encoding="utf-8-sig", newline="")  # noqa: SIM115 - closed below, errors told apart
    except OSError as error:
        raise _unusable(path, error) from None
    with stream:
        yield stream, path


def _standard_input() -> TextIO:
    """Return standard input read as a file would be: strict UTF-8, a byte order mark skipped, line ends kept."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="strict", newline="")
    return sys.stdin


@contextlib.contextmanager
def writing(path: str | None) -> Iterator[TextIO]:
    """Yield a file to write, or standard output. The file appears under its name once it is complete.

    Raises:
        CommandError: it cannot be written.
    """
    if path is None or path == STANDARD_STREAM:
        yield sys.stdout
        return
    destination = Path(path)
    if destination.exists() and not destination.is_file():
        with _opened(destination) as stream:  # a device or a pipe: nothing that could be replaced
            yield stream
        return
    with _replacing(destination) as stream:
        yield stream


@contextlib.contextmanager
def _opened(destination: Path) -> Iterator[TextIO]:
    try:
        with destination.open("w", encoding="utf-8", newline="") as stream:
            yield stream
    except OSError as error:
        raise _unusable(str(destination), error) from None


@contextlib.contextmanager
def _replacing(destination: Path) -> Iterator[TextIO]:
    try:
        stream = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed below, before it gets its name
            "w", encoding="utf-8", newline="", dir=destination.parent, prefix=f".{destination.name}.", delete=False
        )
    except OSError as error:
        raise _unusable(str(destination), error) from None
    draft = Path(stream.name)
    try:
        with stream:
            yield cast("TextIO", stream)
        draft.chmod(0o644)
        draft.replace(destination)
    except OSError as error:
        raise _unusable(str(destination), error) from None
    finally:
        draft.unlink(missing_ok=True)


def _unusable(path: str, error: OSError) -> CommandError:
    return CommandError(f"{path}: {error.strerror or error}")
