"""The strict tools, run over the whole repository as the suite's own environment has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY

COMMANDS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["lint-imports"]],
    ids=["ruff check", "ruff format", "mypy", "lint-imports"],
)
def test_a_tool_finds_nothing_to_say(command: list[str]) -> None:
    """The code is linted, formatted, typed and layered as pyproject.toml demands; else the tool says what is not."""
    program, *arguments = command
    finished = subprocess.run(
        [COMMANDS / program, *arguments],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
