"""The generated messages: up to date, and proto/generate.py tells when they are not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY

MESSAGES = REPOSITORY / "client" / "gradmill" / "v1"


def run_generator(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run proto/generate.py as a developer would."""
    command = [sys.executable, str(REPOSITORY / "proto" / "generate.py"), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def copied_client(tmp_path: Path) -> Path:
    """Return a folder with a copy of the generated messages, free to be changed."""
    shutil.copytree(MESSAGES, tmp_path / "gradmill" / "v1", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_committed_messages_are_those_of_the_contract() -> None:
    """Whoever changes the contract and forgets to regenerate is told so, with the difference."""
    finished = run_generator("--check")
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("suffix", ["_pb2.py", "_pb2.pyi", "_pb2_grpc.py"])
def test_a_change_by_hand_is_found_and_undone(copied_client: Path, suffix: str) -> None:
    """A generated file changed by hand fails the check, and generating again restores it."""
    changed = copied_client / "gradmill" / "v1" / f"gradient_service{suffix}"
    original = changed.read_text("utf-8")
    changed.write_text(original + "# by hand\n", encoding="utf-8")
    finished = run_generator("--check", "--client", str(copied_client))
    assert finished.returncode == 1
    assert "-# by hand" in finished.stdout
    assert run_generator("--client", str(copied_client)).returncode == 0
    assert changed.read_text("utf-8") == original


def test_files_without_a_contract_are_found_and_removed(copied_client: Path) -> None:
    """Generated code whose .proto file is gone fails the check, and generating again removes it."""
    stale = copied_client / "gradmill" / "v1" / "forgotten_pb2.py"
    stale.write_text("# nothing makes this any more\n", encoding="utf-8")
    assert run_generator("--check", "--client", str(copied_client)).returncode == 1
    assert run_generator("--client", str(copied_client)).returncode == 0
    assert not stale.exists()
