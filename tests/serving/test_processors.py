"""How many processors there are to use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from gradmill_server.serving.processors import processors

_BOUND_TO = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _grouped(folder: Path, quotas: dict[str, str], path: str) -> int:
    """Return the processors of a process in a control group below a folder, where these groups have quotas."""
    for name, quota in quotas.items():
        (folder / "tree" / name).mkdir(parents=True, exist_ok=True)
        (folder / "tree" / name / "cpu.max").write_text(quota)
    (folder / "cgroup").write_text(f"12:cpu:/old\n0::{path}\n")
    return processors(folder / "tree", folder / "cgroup")


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({"pod": "max 100000", "pod/box": "max 100000"}, _BOUND_TO),
        ({"pod": "max 100000", "pod/box": "100000 100000"}, 1),
        ({"pod": "50000 100000", "pod/box": "max 100000"}, 1),
        ({"pod": "9900000000 100000", "pod/box": "max 100000"}, _BOUND_TO),
        ({"pod": "nonsense", "pod/box": "1 0"}, _BOUND_TO),
        ({".": "100 100000"}, 1),
    ],
)
def test_quotas_of_all_groups_hold(tmp_path: Path, quotas: dict[str, str], expected: int) -> None:
    """The least quota of the process's control group and of those around it bounds the number; part of one is one."""
    assert _grouped(tmp_path, quotas, "/pod/box") == expected


def test_more_than_one_and_a_half_is_two(tmp_path: Path) -> None:
    """A quota of one and a half processors gives two, where there are two."""
    assert _grouped(tmp_path, {"pod": "150000 100000"}, "/pod") == min(2, _BOUND_TO)


def test_without_control_groups_all_processors_count(tmp_path: Path) -> None:
    """On a system without control groups the processors that the process is bound to count."""
    assert processors(tmp_path, tmp_path / "cgroup") == _BOUND_TO
