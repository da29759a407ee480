"""Reads settings from flags and the environment. A flag goes before the environment, and that before the default."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from gradmill_server.engine.errors import quote
from gradmill_server.serving.security.exposure import contradiction
from gradmill_server.serving.settings import TABLE, Row, Scalar, Settings, from_values

_INTEGER = re.compile(r"[0-9]{1,18}", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15})\s*(B|KiB|MiB|GiB)?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_FACTORS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SWITCH = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}


class SettingsError(ValueError):
    """A setting that is unknown or has no such value; the message names it, where it came from, and what is allowed."""


def read_settings(
    arguments: Sequence[str], environment: Mapping[str, str], *, defaults: Settings | None = None
) -> Settings:
    """Return the settings that flags and environment variables give.

    Args:
        arguments: flags, without the program's name.
        environment: environment variables; only those whose name begins with ``GRADMILL_`` are looked at.
        defaults: what holds where neither says anything.

    Raises:
        SettingsError: for an unknown flag, or a value that the setting cannot have.
        SystemExit: with code 0, after printing the help text that was asked for.
    """
    flags = vars(_parser().parse_args(list(arguments)))
    values: dict[str, Scalar] = {}
    for row in TABLE:
        if flags[row.name] is not None:
            values[row.name] = _parse(row, flags[row.name], row.flag)
        elif environment.get(row.environment_name, "") != "":
            values[row.name] = _parse(row, environment[row.environment_name], row.environment_name)
    return _consistent(from_values(values, defaults))


def _consistent(settings: Settings) -> Settings:
    if settings.maximum_bytes_in_flight < settings.maximum_message_bytes:
        message = (
            f"maximum_bytes_in_flight ({settings.maximum_bytes_in_flight}) is below maximum_message_bytes"
            f" ({settings.maximum_message_bytes}): the largest request could never be answered"
        )
        raise SettingsError(message)
    if problem := contradiction(settings):
        raise SettingsError(problem)
    return settings


def _parse(row: Row, text: str, source: str) -> Scalar:
    """Return the value that a text means for a setting; ``source`` is where it came from, for the error."""
    value = _value(row, text.strip())
    if value is None or not _allowed(row, value):
        message = f"{source}: {quote(text)} is not {_expectation(row)}"
        raise SettingsError(message)
    return value


def _value(row: Row, text: str) -> Scalar | None:
    if isinstance(row.default, bool):
        return _SWITCH.get(text.lower())
    if isinstance(row.default, int):
        if row.unit == "bytes":
            size = _SIZE.fullmatch(text)
            return int(size[1]) * _FACTORS[size[2] or "B"] if size else None
        return int(text) if _INTEGER.fullmatch(text) else None
    if isinstance(row.default, float):
        return float(text) if _NUMBER.fullmatch(text) else None
    return text


def _allowed(row: Row, value: Scalar) -> bool:
    if isinstance(value, str):
        return bool(value or row.default == "") and (not row.choices or value in row.choices)
    return isinstance(value, bool) or row.minimum <= value <= row.maximum


def _expectation(row: Row) -> str:
    if row.choices:
        return "one of " + ", ".join(row.choices)
    if isinstance(row.default, bool):
        return "on or off"
    if isinstance(row.default, str):
        return "a text"
    kind = "a number" if isinstance(row.default, float) else "a whole number"
    unit = f" of {row.unit}" if row.unit else ""
    suffix = " (with B, KiB, MiB or GiB, or plain)" if row.unit == "bytes" else ""
    above = f"of at least {row.minimum:g}"
    bounds = above if row.maximum == math.inf else f"from {row.minimum:g} to {row.maximum:g}"
    return f"{kind}{unit} {bounds}{suffix}"


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(message)


def _parser() -> _Parser:
    parser = _Parser(
        prog="gradmill serve",
        usage="gradmill serve [--help] [--SETTING VALUE ...]",
        description="Serves values and gradients of functions that callers send, over gRPC.",
        epilog=(
            "Each setting may also come from the environment variable named; a flag goes before it. Sizes take B, KiB,"
            " MiB or GiB. All settings are written to the log at the start. SIGTERM or SIGINT stops the server when"
            " the calls being answered are done; a second one stops it at once."
        ),
        allow_abbrev=False,
    )
    groups: dict[str, argparse._ArgumentGroup] = {}
    for row in TABLE:
        group = groups.get(row.group) or groups.setdefault(row.group, parser.add_argument_group(row.group))
        group.add_argument(row.flag, dest=row.name, metavar=_placeholder(row), help=_help(row))
    return parser


def _placeholder(row: Row) -> str:
    if row.choices:
        return "|".join(row.choices)
    if isinstance(row.default, bool):
        return "on|off"
    return (row.unit or row.name.rsplit("_", 1)[-1]).upper()


def _help(row: Row) -> str:
    default = {True: "on", False: "off"}[row.default] if isinstance(row.default, bool) else _shown(row)
    return f"{row.summary} (default: {default}; environment: {row.environment_name})".replace("%", "%%")


def _shown(row: Row) -> str:
    if row.unit == "bytes" and isinstance(row.default, int) and row.default % _FACTORS["MiB"] == 0:
        return f"{row.default // _FACTORS['MiB']} MiB"
    if row.default == "":
        return "none"
    number = f"{row.default:g}" if isinstance(row.default, float) else str(row.default)
    return f"{number} {row.unit}".strip()
