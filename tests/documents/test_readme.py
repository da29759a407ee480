"""The README does what it says."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import readme


def test_the_run_command_prints_what_the_readme_shows() -> None:
    """The command a newcomer pastes first prints the lines below it (its environment is set up by `.ci/run`)."""
    *setup, command = readme.block("command: run").strip().split(" && ")
    program, *arguments = shlex.split(command)
    assert setup == ["python3 -m venv .venv", ".venv/bin/pip install --quiet '.[server]'"]
    assert program == ".venv/bin/gradmill"
    installed = Path(sys.executable).with_name("gradmill")
    done = subprocess.run([installed, *arguments], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == readme.block("output: run")


@pytest.mark.parametrize("name", ["python", "kinds"])
def test_the_examples_print_what_the_readme_shows(name: str) -> None:
    """Each example in Python prints the lines below it."""
    program = readme.block(f"example: {name}")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == readme.block(f"output: {name}")


def test_the_table_of_operations_is_up_to_date() -> None:
    """The README lists the operations there are; `python -m tests.documents.readme` writes the list."""
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_table(text) == text


def test_the_readme_opens_with_a_sentence() -> None:
    """A newcomer first reads what this is, not a heading or a badge."""
    assert readme.README.read_text(encoding="utf-8").split("\n", 1)[0].startswith("Send a function once")
