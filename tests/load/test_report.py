"""The page that a run ends with says first what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.load.__main__ import EXPERIMENTS, parser
from tests.load.campaign import FaultRecord, Findings
from tests.load.experiments.measuring import Figure
from tests.load.judging import DIRECT
from tests.load.outcomes import Outcome
from tests.load.process_tree import Holdings, children, holdings
from tests.load.profiles import PROFILES
from tests.load.report import Verdict, figures_report, json_report, text_report


def findings() -> Findings:
    """Return what a short run saw in which nothing was wrong."""
    found = Findings(PROFILES["ci"], seed=3, started=0.0)
    found.begun = 2
    found.tally.checked = 2
    found.tally.counts["seed function", "OK"] = 2
    found.tally.plain += [(10.0, 0.001), (11.0, 0.003)]
    found.phases["undisturbed"] = (9.0, 12.0)
    found.faults.append(FaultRecord("worker killed", 20.0, took_seconds=0.2, recovery_seconds=0.1))
    found.samples.append((1.0, Holdings(100 * 2**20, 20, 12, 1)))
    return found


def test_a_good_run_is_called_good() -> None:
    """A run without violations says so, with its counts, times and faults."""
    verdict = Verdict(findings(), recovery_limit_seconds=1.0)
    report = text_report(verdict)
    assert verdict.is_good
    assert report.startswith("# ci, seed 3: all is well\n")
    assert "0 wrong OK answers in 2 checked, under 1 faults" in report
    assert "| worker killed | 1" in report
    assert json.loads(json_report(verdict))["well"] is True


def test_violations_stand_first_with_what_repeats_them() -> None:
    """A violation is named before all tables, with the source and the number of its request."""
    found = findings()
    found.tally.notable.append(Outcome("raw", 17, "loop", DIRECT, 10.0, 11.0, "OK", problem="other bits"))
    verdict = Verdict(found, recovery_limit_seconds=1.0)
    report = text_report(verdict)
    assert not verdict.is_good
    assert verdict.wrong_answers == 1
    assert report.index("loop, request 17 of raw: other bits") < report.index("| phase")
    assert json.loads(json_report(verdict))["wrong"] == 1


def test_a_slow_recovery_a_lost_request_and_an_incident_are_each_enough() -> None:
    """Whatever else goes wrong spoils a run."""
    slow, lost, incident = findings(), findings(), findings()
    slow.faults[0].recovery_seconds = 1.5
    lost.lost.append("raw 5: loop")
    incident.incidents.append("the server ended with 1")
    for found, expected in ((slow, "well after 1.50 s"), (lost, "raw 5: loop"), (incident, "ended with 1")):
        verdict = Verdict(found, recovery_limit_seconds=1.0)
        assert not verdict.is_good
        assert expected in text_report(verdict)


def test_a_missed_aim_is_named() -> None:
    """The report of an experiment says which figures miss their aims."""
    figures = [
        Figure("lost calls", "0", "0", met=True),
        Figure("longest", "3 s", "< 2 s", met=False),
        Figure("calls", "5"),
    ]
    report = figures_report("kills", figures, 1.0)
    assert report.startswith("# kills: 1 FIGURES MISSED")
    assert report.count("MISSED") == 2


def test_the_help_names_every_run_and_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody who asks for help learns all that can be run, and how."""
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in (*PROFILES, *EXPERIMENTS))


def test_holdings_are_those_of_a_process_and_its_children() -> None:
    """Memory, files and threads of a process count, and those of one that is gone do not."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in children(os.getpid())
        own = holdings(child.pid)
        assert own.processes == 1
        assert own.resident_bytes > 0
        assert holdings(os.getpid()).processes >= 2
    finally:
        child.communicate(b"\n")
    assert holdings(child.pid) == Holdings()
