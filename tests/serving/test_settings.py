"""Settings: where they come from, what goes before what, and how a bad one is named."""

from __future__ import annotations

from dataclasses import fields

import pytest
from gradmill_server.engine.limits import Limits
from gradmill_server.serving.options import SettingsError, read_settings
from gradmill_server.serving.settings import TABLE, Settings


def test_flag_before_environment_before_default() -> None:
    """A flag goes before the environment, and the environment before the default."""
    environment = {"GRADMILL_PORT": "6000", "GRADMILL_WORKERS": "3"}
    settings = read_settings(["--port", "7000"], environment)
    assert (settings.port, settings.workers, settings.queue_length) == (7000, 3, Settings().queue_length)


def test_every_setting_has_a_flag_and_an_environment_name() -> None:
    """Every setting, limits of the engine included, can be given as a flag and in the environment."""
    names = {entry.name for entry in fields(Settings)} - {"limits"} | {entry.name for entry in fields(Limits)}
    assert {row.name for row in TABLE} == names
    for row in TABLE:
        text = {True: "on", False: "off"}[row.default] if isinstance(row.default, bool) else f"{row.default}"
        assert read_settings([row.flag, text], {}).as_record()[row.name] == row.default
        assert read_settings([], {row.environment_name: text}).as_record()[row.name] == row.default


def test_limits_reach_the_engine() -> None:
    """A limit of the engine that is set by its knob's name is the one the engine gets."""
    assert read_settings(["--maximum-points", "7"], {}).limits.maximum_points == 7


@pytest.mark.parametrize(("text", "expected"), [("4096", 4096), ("64KiB", 65536), ("2 MiB", 2097152), ("1GiB", 2**30)])
def test_sizes_take_units(text: str, expected: int) -> None:
    """A size may be given in bytes, KiB, MiB or GiB."""
    assert read_settings(["--cache-bytes", text], {}).cache_bytes == expected


@pytest.mark.parametrize(
    ("name", "text", "expectation"),
    [
        ("port", "65536", "from 0 to 65535"),
        ("port", "-1", "a whole number"),
        ("port", "http", "a whole number"),
        ("port", "\u0665\u0660", "a whole number"),
        ("metrics", "maybe", "on or off"),
        ("log_level", "loud", "one of debug, info, warning, error"),
        ("drain_seconds", "nan", "a number of seconds"),
        ("drain_seconds", "1e999", "a number of seconds"),
        ("cache_bytes", "12 parsecs", "B, KiB, MiB or GiB"),
        ("maximum_result_bytes", "3GiB", "to 2e+09"),
        ("host", " ", "a text"),
    ],
)
def test_bad_value_is_named(name: str, text: str, expectation: str) -> None:
    """A value that a setting cannot have is refused with its source, the value, and what is allowed."""
    flag, variable = "--" + name.replace("_", "-"), f"GRADMILL_{name.upper()}"
    with pytest.raises(SettingsError) as from_flag:
        read_settings([f"{flag}={text}"], {})
    with pytest.raises(SettingsError) as from_environment:
        read_settings([], {variable: text})
    assert str(from_flag.value).startswith(f"{flag}: ")
    assert str(from_environment.value).startswith(f"{variable}: ")
    assert expectation in str(from_flag.value)


def test_unknown_flag_is_named() -> None:
    """An unknown flag is refused by its name, and no flag may be shortened."""
    with pytest.raises(SettingsError, match="--colour"):
        read_settings(["--colour", "red"], {})
    with pytest.raises(SettingsError, match="--por"):
        read_settings(["--por", "1"], {})


def test_contradicting_settings_are_refused() -> None:
    """A bound on all requests that is below the bound on one is refused."""
    with pytest.raises(SettingsError, match="maximum_bytes_in_flight"):
        read_settings(["--maximum-bytes-in-flight", "1MiB"], {})


def test_empty_environment_variable_is_no_value() -> None:
    """An environment variable that is empty leaves the default."""
    assert read_settings([], {"GRADMILL_PORT": ""}).port == Settings().port


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    """The help text shows every setting with its default and its environment name, under headings."""
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"], {})
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for row in TABLE:
        assert row.flag in shown
        assert row.environment_name in shown
        assert row.summary in shown
    assert "listening:" in shown
    assert "default: 512 MiB" in shown
