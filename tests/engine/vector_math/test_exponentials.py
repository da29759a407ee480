"""The ends of the exponentials' ranges to the last float64, and the exponential of a sum of two."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from gradmill_server.engine.vector_math import VectorFunction
from gradmill_server.engine.vector_math.exponentials import exp_of_sum

from tests.engine.vector_math.accuracy import units_off
from tests.engine.vector_math.compiled import bits_of, define, evaluated
from tests.engine.vector_math.numbers import LEAST, generator

EXP_OF_SUM = VectorFunction("exp_of_sum", 2, exp_of_sum, bound=0.8)

# Found by mpmath: the last arguments on this side of overflow, and of a result that rounds to zero.
LAST_FINITE = 709.782712893384
LAST_ABOVE_ZERO = -745.1332191019411


@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_overflow_begins_where_it_must(name: str) -> None:
    """The last argument with a finite result has one, and its upper neighbour is infinite."""
    below, above = evaluated(name, np.array([LAST_FINITE, math.nextafter(LAST_FINITE, math.inf)]))
    assert math.isfinite(below)
    assert above == math.inf


@pytest.mark.parametrize("name", ["exp", "sigmoid", "softplus"])
def test_underflow_is_gradual_to_the_last_subnormal(name: str) -> None:
    """The last argument with a result above zero gives the least float64, and its lower neighbour zero."""
    edge = np.array([LAST_ABOVE_ZERO, math.nextafter(LAST_ABOVE_ZERO, -math.inf)])
    assert bits_of(evaluated(name, edge)) == bits_of(np.array([LEAST, 0.0]))


def test_a_correction_enters_the_exponential(monkeypatch: pytest.MonkeyPatch) -> None:
    """exp(head + tail) feels a tail far below the last digit of the head, within 0.8 ulp."""
    function = define(monkeypatch, EXP_OF_SUM)
    random = generator()
    head = np.concatenate([random.uniform(-740.0, 709.0, 3000), random.uniform(-1.0, 1.0, 1000)])
    tail = np.ldexp(random.uniform(-1.0, 1.0, len(head)), random.integers(-60, -34, len(head)))
    (found,) = function(EXP_OF_SUM.name, head, tail)
    with mpmath.workprec(160):
        for result, high, low in zip(found.tolist(), head.tolist(), tail.tolist(), strict=True):
            exact = mpmath.exp(mpmath.mpf(high) + mpmath.mpf(low))
            assert units_off(result, exact) <= EXP_OF_SUM.bound, (high, low)


def test_a_head_at_infinity_makes_the_tail_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tail made by subtracting infinities does not spoil the result."""
    function = define(monkeypatch, EXP_OF_SUM)
    head = np.array([math.inf, -math.inf, 1e9, -1e9, math.nan])
    (found,) = function(EXP_OF_SUM.name, head, np.full(5, math.nan))
    assert bits_of(found) == bits_of(np.array([math.inf, 0.0, math.inf, 0.0, math.nan]))
