"""The log: one record per event, as a line of JSON or of text. No value breaks a line or exceeds 256 characters."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

LOGGER = logging.getLogger("gradmill.serving")
# A library is silent unless the program around it asks; `configure` asks.
LOGGER.addHandler(logging.NullHandler())

_MAXIMUM_VALUE_CHARACTERS = 256
_MAXIMUM_TRACEBACK_CHARACTERS = 16_384
_FIELDS = "gradmill_fields"

FieldValue = str | int | float | bool | None | Mapping[str, "str | int | float | bool | None"]

_IDENTITY: dict[str, FieldValue] = {}


class Lines(Protocol):
    """What takes the log, a line at a time."""

    def write(self, text: str, /) -> object:
        """Take a line with its end."""


def record(level: int, event: str, *, error: BaseException | None = None, **values: FieldValue) -> None:
    """Write one record.

    Args:
        level: a level of `logging`.
        event: what happened, as a fixed lower-case name.
        error: an exception whose traceback belongs to the record.
        values: what a reader may want to know or search for.
    """
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, exc_info=error, extra={_FIELDS: values})


def identify(**values: FieldValue) -> None:
    """Put these values into every record from now on: which process of a server it is that writes."""
    _IDENTITY.update(values)


def configure(level: str, style: str, stream: Lines | None = None) -> None:
    """Write records of at least this level to a stream (standard output unless said), as "json" or "text"."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    for old in list(LOGGER.handlers):
        LOGGER.removeHandler(old)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False


def _cut(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _cut(entry) for key, entry in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= _MAXIMUM_VALUE_CHARACTERS else text[: _MAXIMUM_VALUE_CHARACTERS - 3] + "..."


def _parts(entry: logging.LogRecord, formatter: logging.Formatter) -> dict[str, object]:
    """Return a record's parts: time in UTC, level, event, values, and the traceback if there is one."""
    moment = datetime.fromtimestamp(entry.created, UTC).isoformat(timespec="milliseconds")
    parts: dict[str, object] = {"time": moment, "level": entry.levelname.lower(), "event": _cut(entry.getMessage())}
    parts |= _IDENTITY
    parts |= {key: _cut(value) for key, value in getattr(entry, _FIELDS, {}).items()}
    if entry.exc_info:
        parts["traceback"] = formatter.formatException(entry.exc_info)[-_MAXIMUM_TRACEBACK_CHARACTERS:]
    return parts


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: control characters and foreign letters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(_parts(record, self), ensure_ascii=True, default=str)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, event, and name=value for the rest; texts are quoted and escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback if there is one."""
        parts = _parts(record, self)
        head = [str(parts.pop("time")), str(parts.pop("level")).upper(), ascii(parts.pop("event"))[1:-1]]
        traceback = parts.pop("traceback", None)
        line = " ".join([*head, *(f"{key}={_shown(value)}" for key, value in parts.items())])
        return line if traceback is None else f"{line}\n{traceback}"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + " ".join(f"{key}={_shown(entry)}" for key, entry in value.items()) + "}"
    return ascii(value) if isinstance(value, str) else str(value)
