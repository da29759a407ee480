"""Files that are read again when they change: certificates, tokens, keys, quotas."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from gradmill_server.serving.security.audit import Audit, Event

T = TypeVar("T")

_MAXIMUM_FILE_BYTES = 4 * 1024 * 1024


class UnusableFile(Exception):
    """A file that cannot be used; the message names the setting, the file and the reason, and holds none of it."""


def read_file(knob: str, path: str) -> bytes:
    """Return the content of the file that a setting names.

    Raises:
        UnusableFile: it cannot be read, or is too large.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(_MAXIMUM_FILE_BYTES + 1)
    except OSError as error:
        message = f"{knob}: {path}: {error.strerror or type(error).__name__}"
        raise UnusableFile(message) from None
    if len(content) > _MAXIMUM_FILE_BYTES:
        message = f"{knob}: {path}: larger than {_MAXIMUM_FILE_BYTES} bytes"
        raise UnusableFile(message)
    return content


class Watched(Generic[T]):
    """What some files say, as it was when they were last right.

    Attributes:
        current: what they say. Replaced as a whole, so any thread may read it.
    """

    def __init__(
        self, cause: str, paths: Mapping[str, str], parse: Callable[[Mapping[str, bytes]], T], audit: Audit
    ) -> None:
        """Read the files.

        Args:
            cause: what they are, for the audit; of a closed set.
            paths: the file that each setting names.
            parse: makes of their contents, by setting, what they say; raises UnusableFile.
            audit: where changes are recorded.

        Raises:
            UnusableFile: they cannot be used.
        """
        self._cause = cause
        self._paths = dict(paths)
        self._parse = parse
        self._audit = audit
        contents = self._contents()
        self.current: T = parse(contents)
        self._seen = _fingerprint(contents)
        self._trouble = ""

    def refresh(self) -> bool:
        """Read the files again if they changed; whether there is something new. What is unusable is left unused."""
        try:
            contents = self._contents()
            fingerprint = _fingerprint(contents)
            if fingerprint == self._seen:
                self._trouble = ""
                return False
            self.current = self._parse(contents)
        except UnusableFile as error:
            self._complain(str(error))
            return False
        self._seen, self._trouble = fingerprint, ""
        self._audit.record(Event.FILES_RELOADED, self._cause, level=logging.INFO, files=", ".join(self._paths.values()))
        return True

    def _complain(self, trouble: str) -> None:
        """Record what is wrong, once for as long as it stays the same."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._audit.record(Event.FILES_UNUSABLE, self._cause, reason=trouble)

    def _contents(self) -> dict[str, bytes]:
        return {knob: read_file(knob, path) for knob, path in self._paths.items()}


def _fingerprint(contents: Mapping[str, bytes]) -> bytes:
    return b"".join(hashlib.sha256(content).digest() for content in contents.values())
