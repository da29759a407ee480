"""The harness: how long it measures, what it does not try, and what it does with a worker that does not answer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.benchmarks.measuring import Harness, Hopeless, Patience, Plan, largest_difference, plan_for
from tests.benchmarks.models import MODELS
from tests.benchmarks.peers.table import CASADI_GCC, JAX, OURS, TORCH
from tests.benchmarks.results import Measurement, Results
from tests.benchmarks.workers import NoAnswerError, PeerFailedError, Worker

PATIENCE = Patience(rounds=15, round_s=0.01, total_s=2.0, measurement_s=10.0)


@pytest.mark.parametrize(
    ("call_s", "plan"),
    [
        (1e-6, Plan(15, 10_000, warm=True)),
        (0.02, Plan(15, 1, warm=True)),
        (0.4, Plan(5, 1, warm=False)),
        (30.0, Plan(1, 1, warm=False)),
    ],
)
def test_slow_calls_get_fewer_rounds_and_fast_ones_fill_them(call_s: float, plan: Plan) -> None:
    """A round is long enough for the clock, and a slow peer does not hold up the others."""
    assert plan_for(call_s, PATIENCE) == plan


def test_a_wrong_gradient_shows_in_the_difference() -> None:
    """Answers are as far apart as the worst entry, measured by what is typical of values and largest in a gradient."""
    right = (np.array([1.0, 0.0]), np.array([[1.0, 0.0], [2.0, 4.0]]))
    assert largest_difference(right, right) == 0.0
    assert largest_difference((right[0] + 0.25, right[1]), right) == pytest.approx(0.5)
    assert largest_difference((right[0], right[1] + 0.5), right) == pytest.approx(0.5)
    assert largest_difference((right[0], None), (right[0], None)) == 0.0


def test_nan_where_there_is_a_number_is_no_agreement() -> None:
    """A peer that answers NaN is not taken for right."""
    answer = largest_difference((np.array([np.nan]), None), (np.array([1.0]), None))
    assert not answer <= PATIENCE.tolerance


def test_what_would_take_too_long_is_predicted_from_the_smaller_batch() -> None:
    """A batch a hundred times as large is predicted to take a hundred times as long, four calls at least."""
    results = Results([Measurement("seed", OURS, gradient=True, batch=1000, rounds_s=[0.1])])
    wanted = Measurement("seed", OURS, gradient=True, batch=100_000)
    assert Hopeless(PATIENCE).reason(wanted, MODELS["seed"](), results) == "skipped: predicted 40 s"
    wanted.batch = 10_000
    assert Hopeless(PATIENCE).reason(wanted, MODELS["seed"](), results) == ""


def test_a_long_compilation_is_not_repeated_for_another_batch() -> None:
    """What took a minute to compile for one batch is not compiled for another, unless it is kept, as a C library is."""
    for peer, reason in ((JAX, "skipped: 60 s to compile"), (CASADI_GCC, "")):
        results = Results([Measurement("seed", peer, gradient=True, batch=1000, setup_s=60.0, rounds_s=[1e-6])])
        wanted = Measurement("seed", peer, gradient=True, batch=16)
        assert Hopeless(PATIENCE).reason(wanted, MODELS["seed"](), results) == reason


def test_what_would_take_too_much_memory_is_not_tried() -> None:
    """A peer that keeps every intermediate value is not given ten thousand of them for a large batch."""
    wanted = Measurement("random-10000", TORCH, gradient=True, batch=100_000)
    reason = Hopeless(PATIENCE).reason(wanted, MODELS["random-10000"](), Results())
    assert reason == "skipped: predicted 7.5 GiB"


@pytest.mark.parametrize(
    ("model", "gradient", "reason"),
    [
        ("random-1000", True, "no answer in 120 s"),
        ("random-10000", True, "no answer in 120 s to random-1000"),
        ("random-10000", False, "no answer in 120 s to random-1000"),
        ("random-1000", False, ""),
        ("seed", True, ""),
    ],
)
def test_a_peer_without_an_answer_is_not_asked_for_more_of_the_same(model: str, gradient: bool, reason: str) -> None:
    """What contains a thing that had no answer is not waited for again; anything else is."""
    hopeless = Hopeless(PATIENCE)
    failed = Measurement("random-1000", JAX, gradient=True, batch=1, reason="no answer in 120 s")
    hopeless.remember(failed, MODELS["random-1000"]())
    wanted = Measurement(model, JAX, gradient=gradient, batch=16)
    assert hopeless.reason(wanted, MODELS[model](), Results()) == reason


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Give a worker that runs our engine."""
    made = Worker(OURS)
    yield made
    made.stop()


def test_a_worker_that_does_not_answer_in_time_is_ended_and_starts_again(worker: Worker) -> None:
    """One measurement too long costs its own figure, not the run; and what a peer raises is told by its name."""
    worker.start()
    with pytest.raises(NoAnswerError, match=r"^no answer in 0 s$"):
        worker.ask(0.0, "prepare", "rosenbrock-1000", 1, gradient=True)
    with pytest.raises(PeerFailedError, match=r"^KeyError: 'nothing'$"):
        worker.ask(60.0, "prepare", "nothing", 1, gradient=True)
    assert worker.ask(60.0, "prepare", "seed", 1, gradient=True) > 0.0


def test_a_run_measures_value_and_gradient_in_every_round() -> None:
    """The harness times what was asked for, and both wants get the same number of rounds."""
    harness = Harness([OURS], Patience(rounds=3, round_s=1e-4))
    try:
        assert harness.start() == {}
        harness.measure("seed", 2)
    finally:
        harness.stop()
    assert [(entry.gradient, len(entry.rounds_s), entry.reason) for entry in harness.results] == [
        (False, 3, ""),
        (True, 3, ""),
    ]
