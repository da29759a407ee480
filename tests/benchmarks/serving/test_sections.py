"""The sections: short runs from end to end, the ratios they compare, and what is said about the requirements."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.benchmarks.serving import batch, beside_peers, echo, two_inputs
from tests.benchmarks.serving.__main__ import parser, sizes
from tests.benchmarks.serving.batch_caller import ECHO_TASKS, ECHO_THREADS, SDK
from tests.benchmarks.serving.report import Run, json_report, text_report
from tests.benchmarks.serving.rounds import Findings, Found, Measure, Place, interleave, ratio
from tests.benchmarks.serving.sizes import FULL, QUICK, Sizes
from tests.benchmarks.serving.window import Window

TINY = Sizes(rounds=1, window_s=0.1, waiting_rounds=1, waiting_s=0.2, batch_points=30_000, batch_rounds=1)


def found(*rates: float, p99_s: float = 0.0) -> Found:
    """Return rounds with these rates."""
    return Found([Window(int(rate), 1.0, p99_s=p99_s, all_calls=int(rate)) for rate in rates], [1.0] * len(rates))


def test_ratios_are_those_of_the_same_round() -> None:
    """A round in which everything is slow changes no ratio."""
    assert ratio([200.0, 20.0, 400.0], [100.0, 10.0, 100.0]) == 2.0
    assert ratio([], [1.0]) is None


def test_rounds_begin_with_another_one_each_time() -> None:
    """What comes first in a round is nobody's advantage, and one that fails is not tried again."""
    order: list[str] = []

    def run(name: str) -> Window:
        order.append(name)
        if name == "c":
            message = "no"
            raise ValueError(message)
        return Window(1, 1.0)

    measures = [Measure(Place(name, ""), lambda name=name: run(name)) for name in "abc"]  # type: ignore[misc]
    findings = interleave(measures, 3, "")
    assert "".join(order) == "abcbaab"
    assert findings[Place("c", "")].reason == "no"
    assert len(findings[Place("a", "")].windows) == 3


def echo_findings(*, ours: float, waiting_s: float) -> Findings:
    """Return an echo section in which ours is so many times as fast as the echo in everything."""
    places: dict[Place, Found] = {}
    for shape in (*echo.UNARY, *echo.STREAMS):
        places[Place(echo.ECHO, shape.column)] = found(1000.0, 1000.0)
        places[Place(echo.OURS, shape.column)] = found(1000.0 * ours, 1000.0 * ours)
    for row in (echo.SDK_THREADS, echo.SDK_TASKS):
        places[Place(row, echo.UNARY[-1].column)] = found(1000.0 * ours)
    places[Place(echo.ECHO, echo.HALF_LOAD)] = found(500.0, p99_s=0.001)
    places[Place(echo.OURS, echo.HALF_LOAD)] = found(500.0, p99_s=waiting_s)
    return places


def test_requirements_beside_the_echo_are_met_and_missed() -> None:
    """Nine tenths of the echo is enough for calls alone; what is fast and waits little meets everything."""
    assert {line.met for line in echo.requirements(echo_findings(ours=5.0, waiting_s=0.003))} == {True}
    lines = echo.requirements(echo_findings(ours=0.9, waiting_s=0.0031))
    assert [line.met for line in lines] == [True] * 3 + [False] * 6
    assert lines[-1].measured == "3.10 (3.1 by 1.0 ms)"
    assert {line.met for line in echo.requirements({})} == {None}


def test_a_peer_is_taken_in_its_fastest_way() -> None:
    """We have to be ahead of each peer's best way of being called, with each number of callers."""
    places = {
        Place("gradmill, threads", "8 callers"): found(6000.0),
        Place("gradmill, tasks", "8 callers"): found(5000.0),
        Place("UM-Bridge, threads", "8 callers"): found(1000.0),
        Place(f"UM-Bridge, {beside_peers.SERVICES[1].ways[-1]}", "8 callers"): found(2500.0),
        Place("Tesseract, threads", "8 callers"): Found(reason="it does not answer"),
    }
    umbridge, federated, tesseract = beside_peers.requirements(places, (8,))
    assert (umbridge.met, umbridge.measured.split()[0]) == (False, "2.40")
    assert (federated.met, federated.measured) == (None, "not measured")
    assert (tesseract.met, tesseract.measured) == (None, "it does not answer")


def test_the_requirements_of_a_batch() -> None:
    """The faster echo counts, and the most that memory grew in any round."""
    column = batch.column(1_000_000)
    findings = {Place(SDK, column): found(70.0), Place(ECHO_THREADS, column): found(90.0)}
    findings[Place(ECHO_TASKS, column)] = found(100.0)
    speed, memory = batch.requirements(batch.Batch(1_000_000, findings, [20_000_000, 64_000_000]))
    assert (speed.measured, speed.met) == ("0.70", True)
    assert (memory.measured, memory.met) == ("64.0", False)


def test_an_echo_section_runs_from_end_to_end() -> None:
    """A short run measures every place that is compared without a mishap, and its report has all of them."""
    findings = echo.measure_echo(TINY)
    assert {entry.reason for entry in findings.values()} == {""}
    columns = [shape.column for shape in (*echo.UNARY, *echo.STREAMS)]
    assert {Place(row, column) for row in (echo.ECHO, echo.OURS) for column in columns} <= set(findings)
    lines = echo.requirements(findings)
    run = Run({"python": "3"}, echo=findings, lines=lines)
    report = text_report(run)
    assert "SDK, asyncio" in report
    assert "| p99 of calls at half of each one's capacity" in report
    assert len(json.loads(json_report(run))["echo"]) == len(findings)


def test_a_batch_section_runs_from_end_to_end() -> None:
    """A short run measures the batch in each way, and the memory."""
    measured = batch.measure_batch(TINY)
    lines = batch.requirements(measured)
    assert None not in {line.met for line in lines}
    assert "echo, asyncio" in text_report(Run({}, batch=measured, lines=lines))


def test_a_peer_that_answers_wrongly_is_found_out() -> None:
    """The gradient that each peer gives is compared with the function's own."""
    two_inputs.check(two_inputs.gradient(*two_inputs.POINT))
    with pytest.raises(ValueError, match=r"^wrong: "):
        two_inputs.check((0.0, 1.5))
    with pytest.raises(ValueError, match=r"^wrong: "):
        two_inputs.check((1.5,))


def test_the_command_line_chooses_sections_and_lengths() -> None:
    """Sections are named or all of them run, and rounds and windows can be set for either form."""
    options = parser().parse_args(["echo", "batch", "--quick", "--rounds", "2"])
    assert options.sections == ["echo", "batch"]
    assert sizes(options) == dataclasses.replace(QUICK, rounds=2)
    assert sizes(parser().parse_args([])) == FULL
