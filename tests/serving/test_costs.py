"""What programs are learned to cost."""

from __future__ import annotations

import random

import pytest
from gradmill_server.serving.costs import LearnedCost


def test_both_parts_are_learned() -> None:
    """From calls of all sizes the seconds of a call and those of a point are found, noise or not."""
    cost = LearnedCost(node_count=10)
    chance = random.Random(5)
    for _ in range(3_000):
        points = chance.choice((1, 10, 100, 1_000))
        cost.learn(points, (50e-6 + 2e-6 * points) * chance.uniform(0.8, 1.25))
    assert cost.predict(1) == pytest.approx(52e-6, rel=0.5)
    assert cost.predict(1_000) == pytest.approx(2_050e-6, rel=0.3)


def test_waiting_for_a_processor_is_not_taken_for_work() -> None:
    """When every third pass waits a hundred times as long as it works, the estimate stays near the others."""
    cost = LearnedCost(node_count=10)
    for number in range(1_000):
        cost.learn(1, 1e-3 if number % 3 == 0 else 10e-6)
    assert cost.predict(1) < 30e-6


def test_a_first_measurement_that_was_far_off_is_corrected() -> None:
    """A program whose first pass took long, for the caches were cold, is soon known as quick."""
    cost = LearnedCost(node_count=10)
    cost.learn(1, 50e-3)
    for _ in range(40):
        cost.learn(1, 10e-6)
    assert cost.predict(1) < 20e-6


def test_the_first_measurement_counts_in_full() -> None:
    """After one call an equal one is predicted as it was."""
    cost = LearnedCost(node_count=10)
    cost.learn(5, 0.25)
    assert cost.predict(5) == pytest.approx(0.25)


def test_one_slow_pass_changes_little() -> None:
    """A single pass during which the thread lost its processor does not make a small program look large."""
    cost = LearnedCost(node_count=10)
    for _ in range(100):
        cost.learn(1, 5e-6)
    cost.learn(1, 1.0)
    assert cost.predict(1) < 20e-6


def test_a_wrong_estimate_does_not_refuse_for_ever() -> None:
    """Each refusal that relied on an estimate lowers the trust in it, until a call is let through and measured."""
    now = [0.0]
    cost = LearnedCost(node_count=10, clock=lambda: now[0])
    cost.learn(1, 100.0)
    refusals = 0
    while cost.trust * cost.predict(1) > 1.0:
        now[0] += 1.0
        cost.refused()
        refusals += 1
    assert 100 < refusals < 1_000
    assert cost.predict(1) == pytest.approx(100.0)
    cost.learn(1, 100.0)
    assert cost.trust == 1.0


def test_asking_for_the_impossible_does_not_talk_an_estimate_down() -> None:
    """However many refusals come at once, they lower the trust in an estimate only once."""
    cost = LearnedCost(node_count=10, clock=lambda: 5.0)
    cost.learn(1, 1.0)
    for _ in range(10_000):
        cost.refused()
    assert cost.trust > 0.9
