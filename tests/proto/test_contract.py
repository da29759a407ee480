"""The contract's texts, judged by buf."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY

PROTO = REPOSITORY / "proto"
BUF = Path(sys.executable).parent / "buf"


@pytest.mark.parametrize("arguments", [["lint"], ["format", "--diff", "--exit-code"]], ids=["lint", "format"])
def test_buf_finds_nothing_to_say_about_the_contract(arguments: list[str]) -> None:
    """Every message, field and rpc of the contract is commented, named by convention and formatted."""
    finished = subprocess.run([BUF, *arguments], cwd=PROTO, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_buf_sees_the_whole_contract() -> None:
    """Every .proto file in the folder is among those that buf judges."""
    finished = subprocess.run([BUF, "ls-files"], cwd=PROTO, check=True, capture_output=True, text=True)
    on_disk = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    assert sorted(finished.stdout.split()) == on_disk
