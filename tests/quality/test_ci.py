"""The script that runs the README's test command on a fresh copy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import REPOSITORY

MARK = "<!-- command: test -->"


def run_with_readme(project: Path, readme: str) -> subprocess.CompletedProcess[str]:
    """Run .ci/run in a project that holds nothing but this README and an environment of its own."""
    temporary = project / "temporary"
    for folder in (project / ".ci", project / ".venv", temporary):
        folder.mkdir()
    shutil.copy(REPOSITORY / ".ci" / "run", project / ".ci" / "run")
    (project / "README.md").write_text(readme, encoding="utf-8")
    environment = {**os.environ, "CI": "true", "PYTHONPATH": "/elsewhere", "TMPDIR": str(temporary)}
    finished = subprocess.run(
        [project / ".ci" / "run"],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    assert list(temporary.iterdir()) == []
    return finished


def readme_with(command: str) -> str:
    """Return a README whose test command this is, between other blocks."""
    return f"# Title\n\n```console\nexit 7\n```\n\n{MARK}\n\n```console\n{command}\n```\n\n```console\nexit 8\n```\n"


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_run_ends_as_the_test_command_does(tmp_path: Path, status: int) -> None:
    """A run shows what the test command prints last, fails when it fails, and leaves nothing behind."""
    finished = run_with_readme(tmp_path, readme_with(f"echo 12 passed && (exit {status})"))
    assert finished.returncode == status, finished.stderr
    assert finished.stdout.splitlines()[-1] == "12 passed"


def test_the_run_starts_from_the_project_alone(tmp_path: Path) -> None:
    """The test command sees a copy without the project's old environment, and no import path of the caller's."""
    command = 'pwd; ls -A; echo "path=${PYTHONPATH-}"'
    finished = run_with_readme(tmp_path, readme_with(command))
    shown = finished.stdout.splitlines()
    assert finished.returncode == 0, finished.stderr
    assert str(tmp_path) not in shown
    assert "README.md" in shown
    assert ".venv" not in shown
    assert shown[-1] == "path="


def test_the_run_tests_what_is_committed(tmp_path: Path) -> None:
    """In a git work tree the committed files are tested, and a note says that the others are left out."""
    git = [
        "git",
        "-C",
        str(tmp_path),
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (tmp_path / "README.md").write_text(readme_with("echo committed"), encoding="utf-8")
    subprocess.run([*git, "add", "README.md"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "One file"], check=True)
    finished = run_with_readme(tmp_path, readme_with("echo changed"))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[-1] == "committed"
    assert "not committed are left out" in finished.stderr


def test_the_run_refuses_a_readme_without_a_test_command(tmp_path: Path) -> None:
    """A README that lost its marked block fails the run instead of testing nothing."""
    finished = run_with_readme(tmp_path, "# Title\n\n```console\ntrue\n```\n")
    assert finished.returncode == 1
    assert MARK in finished.stderr
