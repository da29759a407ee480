"""Whatever chance makes of a request or a formula, the caller gets an answer or is told what is wrong."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests import REPOSITORY

_RUNS = {"requests": 5_000, "formulas": 4_000}


def _fuzz(target: str, *flags: str) -> str:
    command = [sys.executable, "-m", "tests.hostile.fuzz", target, f"--runs={_RUNS[target]}", *flags]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5_000:]
    return done.stdout


@pytest.mark.parametrize("target", sorted(_RUNS))
def test_inputs_changed_by_chance(target: str) -> None:
    """Thousands of changed inputs meet no error of the server's, no wrong number, and use up no memory."""
    assert f"{_RUNS[target]} runs" in _fuzz(target, "--plain")


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this machine")
@pytest.mark.parametrize("target", sorted(_RUNS))
def test_inputs_changed_towards_new_code(target: str) -> None:
    """The same holds for inputs that are chosen because they reach code that no other one did."""
    assert f"{_RUNS[target]} runs" in _fuzz(target)
