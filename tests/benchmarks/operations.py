"""What a model is written in: a few elementary functions, given by whichever library computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Number = Any
"""A number as one library has it: a node, a symbol, a tracer or an array. They share operators, but no type."""

State = tuple[Number, ...]
Step = Callable[[State], State]


def repeat_plainly(step: Step, state: State, count: int) -> State:
    """Apply a step ``count`` times, one after the other; a library that traces sees every one."""
    for _ in range(count):
        state = step(state)
    return state


@dataclass(frozen=True, slots=True)
class Operations:
    """The elementary functions of one library.

    Attributes:
        repeat: applies a step a number of times; a library with loops of its own may use one.
    """

    exp: Callable[[Number], Number]
    log: Callable[[Number], Number]
    log1p: Callable[[Number], Number]
    sqrt: Callable[[Number], Number]
    sin: Callable[[Number], Number]
    cos: Callable[[Number], Number]
    tanh: Callable[[Number], Number]
    normal_cdf: Callable[[Number], Number]
    repeat: Callable[[Step, State, int], State] = repeat_plainly


def normal_cdf_from(erf: Callable[[Number], Number]) -> Callable[[Number], Number]:
    """Return the normal distribution function of a library whose cheapest way to it is erf."""
    return lambda x: 0.5 + 0.5 * erf(x * math.sqrt(0.5))


def total(terms: Sequence[Number]) -> Number:
    """Return the sum, from the first to the last, without the zero that ``sum`` begins with."""
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


NUMPY = Operations(
    exp=np.exp,
    log=np.log,
    log1p=np.log1p,
    sqrt=np.sqrt,
    sin=np.sin,
    cos=np.cos,
    tanh=np.tanh,
    normal_cdf=normal_cdf_from(np.vectorize(math.erf, otypes=[float])),
)
"""Plain values, without derivatives: what the other libraries are checked against in tests."""
