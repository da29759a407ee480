"""The short form of the load tool, against a real server: mixed traffic under every kind of fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests import REPOSITORY
from tests.load.faults import FAULTS, schedule


def test_every_answer_under_faults_is_right(tmp_path: Path) -> None:
    """Under faults of every kind no OK answer is wrong, none is lost or doubled, and no failure comes without cause."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.load", "ci", "--recovery-limit", "30", "--json", str(report)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["wrong"] == 0
    assert found["lost"] == found["violations"] == found["incidents"] == []
    assert len({fault["kind"] for fault in found["faults"]}) >= 12
    scenarios = {scenario for scenario, code, _ in found["requests"] if code == "OK"}
    assert {"stream message", "new function", "client: one point", "Black-Scholes", "loop"} <= scenarios
    assert found["checked"] > found["begun"] / 4


def test_every_kind_of_fault_comes_once_before_any_comes_again() -> None:
    """A schedule is fair to all kinds, and the same for the same seed."""
    planned = schedule(7, 2 * len(FAULTS))
    assert set(Counter(fault.name for fault in planned[: len(FAULTS)]).values()) == {1}
    assert set(Counter(fault.name for fault in planned).values()) == {2}
    assert [fault.name for fault in planned] == [fault.name for fault in schedule(7, 2 * len(FAULTS))]
    assert [fault.name for fault in planned] != [fault.name for fault in schedule(8, 2 * len(FAULTS))]
