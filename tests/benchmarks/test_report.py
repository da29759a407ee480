"""What a reader of the report sees, and what is said about the requirements."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks import endurance
from tests.benchmarks.acceptance import Line, acceptance
from tests.benchmarks.endurance import Endurance
from tests.benchmarks.models import MODELS
from tests.benchmarks.peers.table import CASADI_GCC, CASADI_MAP, JAX, JAX_UNROLLED, OURS
from tests.benchmarks.report import json_report, model_table, significant, table, verdict_sentence, verdict_table
from tests.benchmarks.results import Measurement, Results

NO_ANSWER = "no answer in 120 s"


def run_where(*, ours_s: float, others_s: float) -> Results:
    """Return results of every model at every batch: a value costs half, and JAX has no answer on random graphs."""
    results = Results()
    for model in MODELS:
        for batch in (1, 1_000, 100_000):
            for gradient in (False, True):
                for peer, call_s in ((OURS, ours_s), (CASADI_MAP, others_s), (CASADI_GCC, others_s), (JAX, others_s)):
                    entry = Measurement(model, peer, gradient=gradient, batch=batch)
                    if peer == JAX and model.startswith("random"):
                        entry.reason = NO_ANSWER
                    else:
                        entry.setup_s, entry.rounds_s = 0.01, [call_s * (1.0 if gradient else 0.5)]
                    results.add(entry)
    return results


GOOD = Endurance(load_average=0.1, two_threads=1.9, memory_growth=0.001, chain_s=30.0, chain_bytes=1_500_000_000)
BAD = Endurance(load_average=0.1, two_threads=1.2, memory_growth=0.5, chain_s=90.0, chain_bytes=3_000_000_000)


def test_every_requirement_can_be_met() -> None:
    """A run that is fast enough everywhere meets all requirements, with JAX's silence counted for what it is."""
    lines = acceptance(run_where(ours_s=5e-6, others_s=1e-4), GOOD, compile_s=120.0)
    assert [line for line in lines if not line.met] == []
    assert any(line.measured == f"jax: {NO_ANSWER}" for line in lines)
    assert any("more than 12,000" in line.measured for line in lines)


def test_every_requirement_can_be_missed() -> None:
    """A slow run misses every ratio that has two sides, and a bad process every one of the rest."""
    slow = run_where(ours_s=1e-2, others_s=1e-5)
    for entry in slow:
        if not entry.gradient and entry.rounds_s:
            entry.rounds_s = [1e-4]
    missed = {line.claim for line in acceptance(slow, BAD, compile_s=0.1) if line.met is False}
    excused = {line.claim for line in acceptance(slow, BAD, compile_s=0.1)} - missed
    assert all(claim.startswith("random-") and ("jax" in claim or "answer" in claim) for claim in excused)


def test_a_partial_run_claims_nothing() -> None:
    """What was not measured is neither met nor missed, and the sentence at the end says so."""
    lines = acceptance(Results(), None, compile_s=120.0)
    assert {line.met for line in lines} == {None}
    assert verdict_sentence(lines) == f"0 of {len(lines)} requirements met, 0 MISSED, {len(lines)} not measured.\n"


def test_the_faster_of_two_forms_counts() -> None:
    """JAX is measured by the better of its forms on the same points."""
    results = run_where(ours_s=1e-5, others_s=1e-4)
    results.add(Measurement("rosenbrock-10", JAX_UNROLLED, gradient=True, batch=1_000, rounds_s=[2e-5]))
    (line,) = (
        line
        for line in acceptance(results, None, compile_s=120.0)
        if line.claim.startswith("rosenbrock-10, 1,000 points: speed over jax")
    )
    assert (line.measured, line.met) == ("2.00 (jax unrolled)", False)


def test_a_table_shows_reasons_in_place_of_figures() -> None:
    """A cell without a figure says why; the last column says how long the first gradient took."""
    results = Results(
        [
            Measurement("seed", OURS, gradient=False, batch=10, setup_s=0.001, rounds_s=[1e-6, 2e-6, 9e-6]),
            Measurement("seed", OURS, gradient=True, batch=10, setup_s=0.0025, rounds_s=[4e-6]),
            Measurement("seed", JAX, gradient=False, batch=10, reason=NO_ANSWER),
        ]
    )
    assert model_table(results, "seed").splitlines() == [
        "| ns per point |           value 10 | gradient 10 | first gradient, ms |",
        "| ------------ | -----------------: | ----------: | -----------------: |",
        "| gradmill     |                200 |         400 |               2.50 |",
        "| jax          | no answer in 120 s |             |                    |",
    ]


@pytest.mark.parametrize(("number", "text"), [(0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1,234")])
def test_numbers_have_about_three_digits(number: float, text: str) -> None:
    """Nobody reads digits that are noise."""
    assert significant(number) == text


def test_a_missed_requirement_stands_out() -> None:
    """The last column says MISSED in capitals."""
    assert verdict_table([Line("a", ">= 2", "1", met=False)]).endswith(
        "| a           |     >= 2 |        1 |  MISSED |\n"
    )


def test_columns_are_aligned() -> None:
    """The first column is aligned to the left and the others to the right."""
    assert table(["a", "b"], [["long", "1"]]) == "| a    |  b |\n| ---- | -: |\n| long |  1 |\n"


def test_everything_measured_is_in_the_json() -> None:
    """Each round can be looked at afterwards."""
    results = Results([Measurement("seed", OURS, gradient=True, batch=1, rounds_s=[1.0, 2.0])])
    written = json.loads(json_report(results, [], GOOD, {"python": "3"}))
    assert written["measurements"][0]["rounds_s"] == [1.0, 2.0]
    assert written["endurance"]["chain_s"] == 30.0


def test_the_chain_is_as_long_as_it_says() -> None:
    """The graph of a million values has a million operations, one on top of the other."""
    assert len(endurance.chain(100).nodes) == 102
