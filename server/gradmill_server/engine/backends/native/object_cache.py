"""Compiled objects on disk, so that only a machine's first start compiles.

A file's name is the SHA-256 of all that its content depends on: the cache's format, the versions of LLVM and llvmlite,
the level, and what the module's text is made of. Its content begins with its own SHA-256. A file that is damaged, or
that somebody else could have written, is never loaded: it is compiled anew. Where nothing can be written, nothing is
kept, which is said once and counted. Processes that start together compile an object once: one does, the others wait
for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import llvmlite
from llvmlite import binding

from gradmill_server.engine.backends.native.compiler import compile_object
from gradmill_server.engine.backends.native.levels import Level

CACHE_VARIABLE = "GRADMILL_OBJECT_CACHE"
"""Environment variable that names the folder; empty for no cache."""

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05
"""How long to wait for another process that compiles the same object, and how often to look whether it is done."""

_NOT_KEPT: Final[list[str]] = []
"""Names of objects that could not be written, of which there are a few at most."""

_LOGGER = logging.getLogger("gradmill.engine")

_FORMAT = "2"
_DIGEST_BYTES = 32
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def cached_object(origin: str, text: Callable[[], str], level: Level) -> bytes:
    """Return the object of a module: from disk when it is there and sound, else compiled and kept.

    Args:
        origin: what the module's text is a function of, such as the text itself; equal origins give equal texts.
        text: writes the module, called only when it has to be compiled.
        level: what it is compiled for.
    """
    folder = _folder()
    if folder is None or _is_open_to_others(folder):
        return _compiled(text, level)
    path = folder / f"{_key(origin, level)}.o"
    found = _read(path)
    if found is not None:
        return found
    with _alone(path):
        found = _read(path)
        if found is None:
            found = _compiled(text, level)
            _keep(path, found)
    return found


def objects_not_kept() -> int:
    """Return how many objects this process could not keep on disk."""
    return len(_NOT_KEPT)


def _compiled(text: Callable[[], str], level: Level) -> bytes:
    _LOGGER.info("compiling machine code for %s, once for this machine where it can be kept; some seconds", level.name)
    return compile_object(text(), level)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of an object, for a time that others have patience for; none where it cannot be had."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = path.with_suffix(".lock").open("wb")
    except OSError:
        yield
        return
    with file:
        patience = time.monotonic() + _PATIENCE_SECONDS
        while not _locked(file.fileno()) and time.monotonic() < patience:
            time.sleep(_POLL_SECONDS)
        # The end of the file's life, and be it that of the process, is the end of the lock.
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _keep(path: Path, content: bytes) -> None:
    try:
        _write(path, content)
    except OSError as error:  # a full disk or a read-only one costs the next start some time, no more
        _NOT_KEPT.append(path.name)
        _LOGGER.warning(
            "machine code is not kept in %s: %s; each start compiles it", path.parent, error.strerror or error
        )


def _is_open_to_others(folder: Path) -> bool:
    """Whether a folder that is there already is not ours alone; what lay in it would not be run, so nothing is kept."""
    try:
        is_open = not _trusted(folder)
    except OSError:
        return False
    if is_open:
        _LOGGER.warning(
            "machine code is not kept in %s, which is not this user's alone: each start compiles it", folder
        )
    return is_open


def _folder() -> Path | None:
    named = os.environ.get(CACHE_VARIABLE)
    if named is not None:
        return Path(named) if named else None
    base = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # a user without a home
        return (Path(base) if base else Path.home() / ".cache") / "gradmill" / "objects"
    return None


def _key(origin: str, level: Level) -> str:
    version = ".".join(map(str, binding.llvm_version_info))
    parts = (_FORMAT, llvmlite.__version__, version, level.name, level.cpu, level.triple, origin)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _read(path: Path) -> bytes | None:
    """Return a file's object when the file is ours alone and whole."""
    try:
        if not (_trusted(path.parent) and _trusted(path)):
            return None
        content = path.read_bytes()
    except OSError:
        return None
    digest, found = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return found if hashlib.sha256(found).digest() == digest else None


def _trusted(path: Path) -> bool:
    status = path.stat(follow_symlinks=False)
    return status.st_uid == os.geteuid() and not status.st_mode & _WRITABLE_BY_OTHERS


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
