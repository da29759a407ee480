"""Loops on the tape machine: the bits of exact arithmetic are NumPy's, whatever the batch, the block or the level."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gradmill_server.engine.backends.native import loop as loop_module
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.loop import TapeLoop
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.backends.numpy_loop import NumpyLoop
from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import DeadlineExceeded
from gradmill_server.engine.ir import FloatArray, GraphBuilder, Input, Output, Shape
from gradmill_server.engine.ops.arrays.loops import Loop
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.passes.scalarize import scalarize

from tests.engine.building import Countdown, number, same_bits
from tests.engine.looping import LoopResult, Step, array
from tests.engine.native.running import HOST_LEVELS

BATCHES = (1, 2, 7, 8, 9, 31, 64, 65, 600, 1_100)
STEPS = 5

pytestmark = pytest.mark.skipif(not HOST_LEVELS, reason="this processor runs none of the levels there is code for")

every_level = pytest.mark.parametrize("level", HOST_LEVELS, ids=[level.name for level in HOST_LEVELS])


def loop_of(
    step: Step,
    shapes: Sequence[Shape],
    carries: int,
    sequences: int,
    element_type: ElementType = ElementType.FLOAT64,
    **options: int,
) -> Loop:
    """Return a loop whose body has inputs of these shapes."""
    builder = GraphBuilder([Input(f"x{place}", shape, element_type) for place, shape in enumerate(shapes)])
    values = [Value(builder, place) for place in range(len(shapes))]
    second = carries + sequences
    new, results = step(values[:carries], values[carries:second], values[second:])
    body = builder.build([Output(f"r{place}", value.index) for place, value in enumerate((*new, *results))])
    return Loop(body_of(expand(body)), options.get("steps", STEPS), carries, sequences, bool(options.get("reverse", 0)))


def recurrence(c: list[Value], s: list[Value], k: list[Value]) -> LoopResult:
    """Return a step of exact operations with two carries, which change places, and two results."""
    mixed = c[0] * k[0] - c[1] / s[0]
    return [c[1], mixed], [apply("maximum", mixed, s[0]), c[0]]


def mapping(_c: list[Value], s: list[Value], k: list[Value]) -> LoopResult:
    """Return a step without carries."""
    return [], [s[0] * k[0] + s[1]]


def counting(c: list[Value], _s: list[Value], _k: list[Value]) -> LoopResult:
    """Return a step without sequences, constants and results."""
    return [c[0] * 1.5 - 0.25], []


def rotating(c: list[Value], s: list[Value], k: list[Value]) -> LoopResult:
    """Return a step of small arrays: sums of products, one carry that stays, and the whole state as result."""
    new = array("sum", k[0] * c[0], axes=(1,)) + s[0]
    return [new, c[1]], [new * c[1], array("sum", new, axes=(0,))]


def copying(c: list[Value], s: list[Value], k: list[Value]) -> LoopResult:
    """Return a step whose results are given twice, are its arguments, or are constants."""
    new = c[0] * k[0]
    return [new, number(c[0], 2.5), s[0]], [new, new, s[0], k[0], number(c[0], -1.0)]


CASES = {
    "recurrence": loop_of(recurrence, [(), (), (), ()], 2, 1),
    "recurrence backwards": loop_of(recurrence, [(), (), (), ()], 2, 1, reverse=1),
    "map": loop_of(mapping, [(), (), ()], 0, 2),
    "fold": loop_of(counting, [()], 1, 0, steps=7),
    "one step": loop_of(counting, [()], 1, 0, steps=1),
    "copies": loop_of(copying, [(), (), (), (), ()], 3, 1),
    "arrays": loop_of(rotating, [(3,), (3,), (3,), (3, 3)], 2, 1),
    "arrays backwards": loop_of(rotating, [(3,), (3,), (3,), (3, 3)], 2, 1, reverse=1, steps=6),
}


def native(loop: Loop, level: Level) -> TapeLoop:
    """Return a loop on the tape machine."""
    scalars = scalarize(loop.body.graph, 1_000)
    assert scalars is not None
    return TapeLoop(loop, scalars, level, never)


def plain(loop: Loop) -> NumpyLoop:
    """Return a loop on NumPy."""
    return NumpyLoop(loop, NumpyExecutable(loop.body.graph))


def operands(loop: Loop, points: int, shared: Sequence[int] = ()) -> list[FloatArray]:
    """Return arguments for so many points, some of which are shared by all."""
    rng = np.random.default_rng(points)
    return [
        rng.uniform(0.5, 1.5, size=(1 if place in shared else points, *shape))
        for place, shape in enumerate(loop.argument_shapes)
    ]


@every_level
@pytest.mark.parametrize("name", CASES)
def test_exact_arithmetic_has_the_bits_of_numpy(level: Level, name: str) -> None:
    """Every part of the flat value is that of NumPy, bit for bit, in batches of any length."""
    loop = CASES[name]
    runs, expected = native(loop, level), plain(loop)
    for points in BATCHES:
        given = operands(loop, points)
        assert same_bits(runs(never, *given), expected(never, *given))


@every_level
@pytest.mark.parametrize("name", CASES)
def test_arguments_may_be_shared_and_lie_anyhow(level: Level, name: str) -> None:
    """One value for all points, plain numbers, and arrays that lie row by row or column by column give the same."""
    loop = CASES[name]
    runs, expected = native(loop, level), plain(loop)
    everything = range(len(loop.argument_shapes))
    for points in (1, 9, 64):
        for shared in ((), everything, *([place] for place in everything)):
            given = operands(loop, points, shared)
            turned = [np.asfortranarray(values) for values in given]
            numbers = [values[0] if values.shape == (1,) else values for values in given]
            wanted = expected(never, *given)
            for way in (given, turned, numbers):
                assert same_bits(runs(never, *way), wanted)


@every_level
@pytest.mark.parametrize("reverse", [0, 1])
def test_loops_of_float32_have_the_bits_of_numpy(level: Level, reverse: int) -> None:
    """In float32, with twice the lanes, carries, sequences and results have NumPy's bits as well."""

    def step(c: list[Value], s: list[Value], k: list[Value]) -> LoopResult:
        return [c[0] * k[0] - s[0] / c[0]], [apply("maximum", c[0], s[0]), c[0] * 0.1]

    loop = loop_of(step, [(), (), ()], 1, 1, ElementType.FLOAT32, reverse=reverse)
    runs, expected = native(loop, level), plain(loop)
    for points in BATCHES:
        for shared in ((), [1], [0, 2]):
            given = [values.astype(np.float32) for values in operands(loop, points, shared)]
            result = runs(never, *given)
            assert result.dtype == np.float32
            assert same_bits(result, expected(never, *given))


@every_level
def test_a_point_has_the_same_bits_alone_and_in_company(level: Level) -> None:
    """Elementary functions as well give a point bits that depend on nothing but the point."""

    def step(c: list[Value], s: list[Value], k: list[Value]) -> LoopResult:
        return [apply("sin", c[0] * k[0]) + apply("exp", -s[0])], [apply("tanh", c[0])]

    loop = loop_of(step, [(), (), ()], 1, 1, steps=20)
    runs = native(loop, level)
    given = operands(loop, 600)
    together = runs(never, *given)
    for point in (0, 1, 63, 64, 511, 512, 599):
        assert same_bits(runs(never, *[values[point : point + 1] for values in given])[0], together[point])
    np.testing.assert_allclose(together, plain(loop)(never, *given), rtol=1e-13)


@every_level
def test_numbers_that_are_not_finite_pass_through(level: Level) -> None:
    """NaN and infinity in one point reach its results and nobody else's."""
    loop = CASES["recurrence"]
    given = operands(loop, 70)
    given[0][3], given[2][5, 2], given[3][69] = np.nan, 0.0, np.inf
    with np.errstate(all="ignore"):
        expected = plain(loop)(never, *given)
    assert same_bits(native(loop, level)(never, *given), expected)
    assert np.isfinite(expected[[0, 1, 68]]).all()
    assert not np.isfinite(expected[[3, 5, 69]]).all(axis=1).any()


@every_level
def test_a_long_loop_looks_at_its_checkpoint_and_stops(level: Level) -> None:
    """A million steps look up every few milliseconds, and can be ended; the next run is none the worse."""
    loop = loop_of(counting, [()], 1, 0, steps=1_000_000)
    runs = native(loop, level)
    looks: list[None] = []
    runs(lambda: looks.append(None), np.zeros(64))
    assert 20 < len(looks) < 10_000
    with pytest.raises(DeadlineExceeded):
        runs(Countdown(len(looks) // 2), np.zeros(64))
    short = CASES["recurrence"]
    given = operands(short, 9)
    assert same_bits(native(short, level)(never, *given), plain(short)(never, *given))


@every_level
def test_cutting_points_and_steps_changes_nothing(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many blocks go together, and how many steps are run at a time, makes no difference."""
    loop = CASES["arrays backwards"]
    given = operands(loop, 1_100)
    expected = native(loop, level)(never, *given)
    monkeypatch.setattr(loop_module, "_BLOCKS_AT_ONCE", 1)
    monkeypatch.setattr(loop_module, "_COST_BETWEEN_CHECKPOINTS", 1)
    assert same_bits(native(loop, level)(never, *given), expected)


@every_level
def test_one_loop_serves_many_threads(level: Level) -> None:
    """Concurrent runs of one loop give each caller his own results."""
    loop = CASES["recurrence"]
    runs = native(loop, level)
    each = [operands(loop, 500 + number) for number in range(16)]
    alone = [runs(never, *given) for given in each]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda given: runs(never, *given), each))
    for one, other in zip(alone, together, strict=True):
        assert same_bits(one, other)
