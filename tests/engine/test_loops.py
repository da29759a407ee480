"""Loops: values and derivatives of any order are those of the steps written one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
import numpy as np
import pytest
from gradmill_server.engine import program
from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, pull_back, push_forward
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import DeadlineExceeded
from gradmill_server.engine.ir import FloatArray, Graph, GraphBuilder, Input, Output, Shape
from gradmill_server.engine.ops.value import Value, apply
from gradmill_server.engine.passes.bodies import through_bodies
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Options
from gradmill_server.engine.wants import SPARSE, WITH_DIRECTIONS, Kind, resolve_want

from tests.engine.building import (
    LIMITS,
    Countdown,
    addition_chain,
    at_matrix,
    compiled,
    function,
    same_bits,
    smooth_graph,
)
from tests.engine.looping import BY_NAME, CASES, Case, Looping, array, scan, total, unrolled

POINTS = 3
TOLERANCE = 1e-13


@pytest.fixture(autouse=True)
def _loops_stay_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the small loops of these tests from being written out."""
    monkeypatch.setattr(program, "_LARGEST_UNROLLED_LOOPS", 0)


every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def points_for(case: Case, seed: int = 0) -> FloatArray:
    """Return points at which no case is near a kink."""
    columns = case.graph(scan).elements_per_point
    return np.random.default_rng(seed).uniform(0.3, 0.9, size=(POINTS, columns))


def close(left: FloatArray, right: FloatArray, tolerance: float = TOLERANCE) -> bool:
    """Whether two arrays agree to so many parts of the largest element."""
    return left.shape == right.shape and bool(
        np.allclose(left, right, rtol=tolerance, atol=tolerance * np.abs(right).max())
    )


def evaluated(graph: Graph, inputs: Sequence[FloatArray]) -> list[FloatArray]:
    """Return each output at points given by input, [points, *shape]."""
    ready = through_bodies(graph, expand)
    return NumpyExecutable(ready).run(inputs, len(inputs[0]), never)


@every_case
def test_a_loop_has_the_value_of_its_steps(case: Case) -> None:
    """The value is that of all steps, bit for bit, also for one point and for many."""
    matrix = points_for(case)
    together = at_matrix(canonicalize(case.graph(scan)), matrix, Kind.VALUE).arrays[0][0].array
    for row, value in zip(matrix, together, strict=True):
        alone = at_matrix(canonicalize(case.graph(scan)), [row], Kind.VALUE).arrays[0][0].array
        assert same_bits(alone, [value])
    steps = through_bodies(case.graph(unrolled), expand)
    in_steps = evaluated(steps, split(case, matrix))[0]
    assert same_bits(evaluated(case.graph(scan), split(case, matrix))[0], in_steps)
    assert close(together, in_steps)


def split(case: Case, matrix: FloatArray) -> list[FloatArray]:
    """Return a matrix of points as one array for each input."""
    ends = np.cumsum([np.prod(entry.shape, dtype=int) for entry in case.inputs])
    parts = np.split(matrix, ends[:-1], axis=1)
    return [part.reshape(len(matrix), *entry.shape) for part, entry in zip(parts, case.inputs, strict=True)]


@every_case
@pytest.mark.parametrize("parity", [False, True])
def test_a_loop_has_the_gradient_of_its_steps(case: Case, parity: bool) -> None:
    """The gradient by every input is that of all steps, with strong zeros and without."""
    options = Options(parity=parity)
    by_loop, by_steps = (
        at_matrix(canonicalize(case.graph(way)), points_for(case), Kind.GRADIENT, options=options).arrays[0][0].array
        for way in (scan, unrolled)
    )
    assert close(by_loop, by_steps)


def products(case: Case, way: str, leading: Shape) -> list[FloatArray]:
    """Return a case's tangent and the cotangents of its inputs for random directions, by loop and by steps."""
    rng = np.random.default_rng(5)
    graph = through_bodies(case.graph(scan if way == "loop" else unrolled), expand)
    tangents = [rng.normal(size=(POINTS, *leading, *entry.shape)) for entry in case.inputs]
    cotangent = rng.normal(size=(POINTS, *leading))
    declared = [Input(f"tangent{place}", leading + entry.shape) for place, entry in enumerate(case.inputs)]
    builder = GraphBuilder([*case.inputs, *declared, Input("cotangent", leading)])
    (value,) = builder.include(graph, range(len(case.inputs)))
    count = len(case.inputs)
    seeds = {place: count + place for place in range(count)}
    pushed = push_forward(builder, [value], seeds, Propagation(), leading)
    pulled = pull_back(builder, {value: 2 * count}, range(count), Propagation(), leading)[:count]
    assert NO_ADJOINT not in (*pushed, *pulled)
    outputs = [Output(f"output{place}", node) for place, node in enumerate((*pushed, *pulled))]
    return evaluated(builder.build(outputs), [*split(case, points_for(case)), *tangents, cotangent])


@every_case
@pytest.mark.parametrize("leading", [(), (1,), (4,)])
def test_directions_pass_through_a_loop_as_through_its_steps(case: Case, leading: Shape) -> None:
    """Tangents and cotangents, one or several at once, are those of all steps."""
    by_loop, by_steps = (products(case, way, leading) for way in ("loop", "steps"))
    for one, other in zip(by_loop, by_steps, strict=True):
        assert close(one, other)


@every_case
def test_both_modes_agree_on_a_loop(case: Case) -> None:
    """A cotangent times the tangent of the value is the cotangents of the inputs times their tangents."""
    rng = np.random.default_rng(5)
    tangents = [rng.normal(size=(POINTS, *entry.shape)) for entry in case.inputs]
    cotangent = rng.normal(size=POINTS)
    pushed, *pulled = products(case, "loop", ())
    inner = sum((one * other).reshape(POINTS, -1).sum(axis=1) for one, other in zip(pulled, tangents, strict=True))
    np.testing.assert_allclose(pushed * cotangent, inner, rtol=1e-11)


@every_case
def test_the_gradient_of_a_loop_is_the_slope_of_its_value(case: Case) -> None:
    """Central differences of the value along a direction agree with the gradient."""
    graph, matrix = canonicalize(case.graph(scan)), points_for(case)
    direction = np.random.default_rng(9).normal(size=matrix.shape)
    ahead, behind = (
        at_matrix(graph, matrix + sign * 1e-5 * direction, Kind.VALUE).arrays[0][0].array for sign in (1.0, -1.0)
    )
    gradient = at_matrix(graph, matrix, Kind.GRADIENT).arrays[0][0].array
    np.testing.assert_allclose((gradient * direction).sum(axis=1), (ahead - behind) / 2e-5, rtol=1e-7, atol=1e-8)


def second_order(case: Case, *, by_loop: bool, forward: bool) -> list[FloatArray]:
    """Return the products of the Hessian with a direction: a gradient's tangent, or the gradient of a product."""
    graph = through_bodies(case.graph(scan if by_loop else unrolled), expand)
    count = len(case.inputs)
    declared = [Input(f"direction{place}", entry.shape) for place, entry in enumerate(case.inputs)]
    builder = GraphBuilder([*case.inputs, *declared])
    (value,) = builder.include(graph, range(count))
    propagation = Propagation()
    gradient = pull_back(builder, {value: builder.constant(1.0)}, range(count), propagation)[:count]
    if forward:
        seeds = {place: count + place for place in range(count)}
        wanted = push_forward(builder, gradient, seeds, propagation)
    else:
        slope = Value(builder, builder.constant(0.0))
        for place, node in enumerate(gradient):
            slope = slope + total(Value(builder, node) * Value(builder, count + place))
        wanted = pull_back(builder, {slope.index: builder.constant(1.0)}, range(count), propagation)[:count]
    outputs = [Output(f"output{place}", node) for place, node in enumerate(wanted)]
    directions = [np.random.default_rng(2).normal(size=(POINTS, *entry.shape)) for entry in case.inputs]
    return evaluated(builder.build(outputs), [*split(case, points_for(case)), *directions])


@every_case
def test_second_derivatives_of_a_loop_are_those_of_its_steps(case: Case) -> None:
    """A Hessian times a direction comes out the same, forward over reverse and reverse over reverse."""
    expected = second_order(case, by_loop=False, forward=True)
    for forward in (True, False):
        for one, other in zip(second_order(case, by_loop=True, forward=forward), expected, strict=True):
            assert close(one, other, 1e-11)


@every_case
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in WITH_DIRECTIONS])
def test_every_kind_of_derivative_of_a_loop_is_that_of_its_steps(case: Case, kind: Kind) -> None:
    """Jacobians and Hessians, whole, by their diagonal, or sparse, come out the same."""
    by_loop, by_steps = (
        at_matrix(canonicalize(case.graph(way)), points_for(case), kind).arrays[0][0].array for way in (scan, unrolled)
    )
    if kind in SPARSE:  # how fine a pattern is depends on how much is known, so that whole rows stand for some entries
        by_loop, by_steps = np.sort(np.abs(by_loop)), np.sort(np.abs(by_steps))
        by_loop = by_loop[:, by_loop.shape[1] - by_steps.shape[1] :]
    assert close(by_loop, by_steps, 1e-11)


def test_a_zero_cotangent_does_not_pass_an_infinite_slope_in_a_loop() -> None:
    """Strong zeros hold inside of bodies, and parity mode does without them, as everywhere."""
    graph = canonicalize(BY_NAME["kinks"].graph(scan))
    matrix = [[0.0, 0.5, -0.25, 0.125, 1.0]]
    strong = at_matrix(graph, matrix, Kind.GRADIENT).arrays[0][0].array
    plain = at_matrix(graph, matrix, Kind.GRADIENT, options=Options(parity=True)).arrays[0][0].array
    assert np.isfinite(strong).all()
    assert np.isnan(plain[0, 0])


@pytest.mark.parametrize("kind", [Kind.JACOBIAN, Kind.JVP])
def test_an_infinite_tangent_does_not_pass_a_zero_slope(kind: Kind) -> None:
    """In a loop and in a product of matrices as elsewhere: the slope of x*sqrt(x) at 0 is 0 in forward mode, too."""

    def step(carries: list[Value], elements: list[Value], constants: list[Value]) -> tuple[list[Value], list[Value]]:
        return [carries[0] + apply("sqrt", elements[0]) * elements[0] * constants[0]], []

    def make(v: Value) -> Value:
        ((summed,), _) = scan(step, [total(v)], [v], [total(v)], steps=2)
        return summed + array("dot", apply("sqrt", v), v)

    graph = function(make, Input("v", (2,)))
    directions = 2 * (kind is Kind.JVP)
    want = resolve_want(graph, kind, (), (), directions=directions)
    compiled_kind = program.compile_program(graph, (want,), Options(), LIMITS)
    tangents = [{"v": np.eye(2)[np.newaxis]}] * (directions > 0)
    (results,) = compiled_kind.evaluate(
        PointBatch.from_matrix(graph.inputs, np.array([[0.0, 4.0]])), LIMITS, never, tangents
    ).arrays
    np.testing.assert_allclose(results[0].array[0], [1.0 + 8.0, 1.0 + 8.0 + 12.0 + 3.0], rtol=1e-14)


def test_stable_forms_are_used_in_bodies() -> None:
    """A spelling that overflows is replaced inside of a loop as well, and listed."""
    graph = function(
        lambda x: scan(lambda c, _s, _k: ([apply("log", 1.0 + apply("exp", c[0]))], []), [x], steps=2)[0][0], "x"
    )
    assert at_matrix(graph, [[1000.0]], Kind.VALUE, Kind.GRADIENT).arrays[1][0].array.tolist() == [[1.0]]


def test_a_loop_without_any_dependence_has_no_gradient() -> None:
    """Where only a comparison uses an input, the gradient is zero, and no loop runs backwards for it."""
    graph = function(
        lambda x: scan(lambda c, _s, k: ([c[0] + apply("greater", k[0], 0.0)], []), [x * 0.0], (), [x], steps=3)[0][0],
        "x",
    )
    assert at_matrix(graph, [[2.0], [-2.0]], Kind.VALUE, Kind.GRADIENT).arrays[1][0].array.tolist() == [[0.0], [0.0]]


def logistic_map(steps: int) -> Graph:
    """Return c -> r c (1 - c), again and again."""

    def make(start: Value, rate: Value) -> Value:
        (last,), _ = scan(lambda c, _s, k: ([k[0] * c[0] * (1.0 - c[0])], [c[0]]), [start], (), [rate], steps=steps)
        return last

    return function(make, "start", "rate")


def test_the_logistic_map_of_ten_thousand_steps_is_exact_step_by_step() -> None:
    """Ten thousand steps, chaotic ones too, end where a loop in Python ends, bit for bit; slopes multiply up."""
    start, rate = np.array([0.1, 0.2, 0.3]), np.array([3.2, 3.5, 3.9])
    value, by_start, by_rate = start, np.ones(3), np.zeros(3)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(10_000):
            slope = rate * (1.0 - value) - rate * value
            by_start, by_rate = by_start * slope, by_rate * slope + value * (1.0 - value)
            value = rate * value * (1.0 - value)
    matrix = np.stack([start, rate], axis=1)
    values, gradients = at_matrix(logistic_map(10_000), matrix, Kind.VALUE, Kind.GRADIENT).arrays
    assert same_bits(values[0].array, value)
    gradient = gradients[0].array[:2]  # that of the chaotic orbit overflows
    np.testing.assert_allclose(gradient[:, 0], by_start[:2], rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(gradient[:, 1], by_rate[:2], rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 17])
def test_the_logistic_map_agrees_with_fifty_digits(steps: int) -> None:
    """Value and slopes of a few steps are those of mpmath's arithmetic with fifty digits, to the last few bits."""
    with mpmath.workdps(50):
        start, rate = mpmath.mpf(0.2), mpmath.mpf(3.7)
        value, by_start, by_rate = start, mpmath.mpf(1), mpmath.mpf(0)
        for _ in range(steps):
            slope = rate * (1 - 2 * value)
            by_start, by_rate = by_start * slope, by_rate * slope + value * (1 - value)
            value = rate * value * (1 - value)
        expected = [float(value), float(by_start), float(by_rate)]
    values, gradients = at_matrix(logistic_map(steps), [[0.2, 3.7]], Kind.VALUE, Kind.GRADIENT).arrays
    np.testing.assert_allclose([*values[0].array, *gradients[0].array[0]], expected, rtol=1e-12 * steps)


def test_points_that_share_an_argument_give_the_same_bits() -> None:
    """A sequence that all points share is the same as one that each point brings."""
    case = BY_NAME["fold with results"]
    graph = case.graph(scan)
    rates = np.random.default_rng(1).uniform(size=(1, 5))
    start = np.array([0.1, 0.2, 0.3])
    apart = evaluated(graph, [np.repeat(rates, 3, axis=0), start])[0]
    together = NumpyExecutable(through_bodies(graph, expand)).run([rates, start], 3, never)[0]
    assert same_bits(apart, together)


def test_a_loop_of_arrays_keeps_their_shapes() -> None:
    """Carries and results of several axes come back as they went in."""

    def step(c: list[Value], s: list[Value], _k: list[Value]) -> tuple[list[Value], list[Value]]:
        return [array("matmul", c[0], s[0])], [array("transpose", c[0], axes=(1, 0))]

    def make(start: Value, factors: Value) -> dict[str, Value]:
        (last,), (trail,) = scan(step, [start], [factors], steps=3)
        return {"last": last, "trail": trail}

    graph = function(make, Input("start", (2, 3)), Input("factors", (3, 3, 3)))
    rng = np.random.default_rng(3)
    start, factors = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 3, 3, 3))
    last, trail = evaluated(graph, [start, factors])
    held, rows = start, []
    for place in range(3):
        rows.append(held.swapaxes(1, 2))
        held = held @ factors[:, place]
    np.testing.assert_allclose(last, held, rtol=1e-14)
    np.testing.assert_allclose(trail, np.stack(rows, axis=1), rtol=1e-14)


@pytest.mark.parametrize("steps", [5, 500])
def test_the_sparse_jacobian_of_a_map_is_diagonal(steps: int) -> None:
    """Each element of a map's result depends on its own element only; of running results, on those before it."""

    def make(values: Value, start: Value) -> dict[str, Value]:
        _, (squares,) = scan(lambda _c, s, _k: ([], [s[0] * s[0]]), (), [values], steps=steps)
        _, (sums,) = scan(lambda c, s, _k: ([c[0] + s[0]], [c[0]]), [start], [values], steps=steps)
        return {"squares": squares, "sums": sums}

    graph = canonicalize(function(make, Input("values", (steps,)), "start"))
    want = resolve_want(graph, Kind.SPARSE_JACOBIAN, ("squares", "sums"), ("values",))
    made = program.compile_program(graph, (want,), Options(), LIMITS)
    diagonal, triangle = (made.patterns[0, name] for name in ("squares", "sums"))
    assert diagonal.columns.tolist() == list(range(steps))
    assert np.diff(triangle.row_starts).tolist() == list(range(steps))
    matrix = np.random.default_rng(0).normal(size=(2, steps + 1))
    points = PointBatch.from_matrix(graph.inputs, matrix)
    (results,) = made.evaluate(points, LIMITS, never).arrays
    np.testing.assert_allclose(results[0].array, 2.0 * matrix[:, :steps])
    assert (results[1].array == 1.0).all()


def random_case(seed: int) -> Case:
    """Return a loop of two carries, a sequence and a constant, whose body is a random smooth function of them."""
    body = smooth_graph(seed, operations=12, outputs=3)

    def step(carries: list[Value], elements: list[Value], constants: list[Value]) -> tuple[list[Value], list[Value]]:
        builder = carries[0].builder
        mixed = apply("sin", carries[1] + constants[0])
        nodes = builder.include(body, [carries[0].index, elements[0].index, mixed.index])
        first, second, third = (apply("sin", Value(builder, node)) for node in nodes)
        return [first, second + carries[0]], [third]

    def make(loop: Looping, start: Value, values: Value, shift: Value) -> Value:
        (one, other), (trail,) = loop(step, [start, shift], [values], [shift], steps=3, reverse=seed % 2 == 1)
        return one * other + total(trail)

    return Case(f"random {seed}", (Input("start"), Input("values", (3,)), Input("shift")), make)


@pytest.mark.parametrize("seed", range(24))
def test_a_random_loop_has_the_derivatives_of_its_steps(seed: int) -> None:
    """Whatever operations a body has, value, gradient and Hessian are those of the steps, natively and on NumPy."""
    case = random_case(seed)
    kinds = (Kind.VALUE, Kind.GRADIENT, Kind.HESSIAN)
    by_loop, by_steps = (
        [entry[0].array for entry in at_matrix(canonicalize(case.graph(way)), points_for(case), *kinds).arrays]
        for way in (scan, unrolled)
    )
    for one, other in zip(by_loop, by_steps, strict=True):
        assert close(one, other, 1e-8)
    on_numpy = [evaluated(case.graph(way), split(case, points_for(case)))[0] for way in (scan, unrolled)]
    assert same_bits(*on_numpy)


@pytest.mark.parametrize("points", [1, 10_000])
def test_a_loop_on_numpy_looks_at_its_checkpoint_and_stops(points: int) -> None:
    """Many short steps look up every few milliseconds, as do few steps over many points."""
    graph = logistic_map(20_000 if points == 1 else 400)
    executable = NumpyExecutable(graph)
    given = [np.full(points, 0.2), np.full(points, 3.1)]
    looks: list[None] = []
    executable.run(given, points, lambda: looks.append(None))
    assert 5 < len(looks) < 1_000
    with pytest.raises(DeadlineExceeded):
        executable.run(given, points, Countdown(len(looks) // 2))


def test_a_step_of_many_operations_looks_up_in_between() -> None:
    """A body of tens of thousands of operations does not have to end before anybody looks at the clock."""
    chain = addition_chain(20_000)
    graph = function(
        lambda x, y: scan(
            lambda c, _s, k: ([Value(c[0].builder, c[0].builder.include(chain, [c[0].index, k[0].index])[0])], []),
            [x],
            (),
            [y],
            steps=3,
        )[0][0],
        "x",
        "y",
    )
    looks: list[None] = []
    NumpyExecutable(graph).run([np.ones(1_000), np.ones(1_000)], 1_000, lambda: looks.append(None))
    assert len(looks) > 20


def test_a_loop_of_float32_has_float32_derivatives() -> None:
    """Value and gradient of a loop in float32 are near those in float64, natively and on NumPy."""

    def made(element_type: ElementType) -> Graph:
        def make(start: Value, values: Value) -> Value:
            (last,), (trail,) = scan(
                lambda c, s, _k: ([apply("sin", c[0]) + s[0]], [c[0] * s[0]]), [start], [values], steps=200
            )
            return last + total(trail)

        inputs = (Input("start", (), element_type), Input("values", (200,), element_type))
        return canonicalize(function(make, *inputs))

    matrix = np.random.default_rng(0).uniform(0.1, 0.9, size=(3, 201))
    exact = at_matrix(made(ElementType.FLOAT64), matrix, Kind.VALUE, Kind.GRADIENT).arrays
    single = made(ElementType.FLOAT32)
    points = PointBatch.from_matrix(single.inputs, matrix.astype(np.float32))
    for entry, wanted in zip(
        compiled(single, Kind.VALUE, Kind.GRADIENT).evaluate(points, LIMITS, never).arrays, exact, strict=True
    ):
        assert entry[0].array.dtype == np.float32
        np.testing.assert_allclose(entry[0].array, wanted[0].array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "looks"), [(Kind.GRADIENT, 20_000), (Kind.HESSIAN, 60_000)])
def test_loops_that_stand_in_one_another_compile_in_proportion_to_their_depth(kind: Kind, looks: int) -> None:
    """Sixteen levels of a thousand million steps are cut into segments, and no body is differentiated twice."""

    def nested(value: Value, depth: int) -> Value:
        def step(carries: list[Value], *_others: list[Value]) -> tuple[list[Value], list[Value]]:
            (held,) = carries
            return [apply("sin", nested(held, depth - 1) if depth else held)], []

        (last,), _ = scan(step, [value], steps=10**9)
        return last

    graph = canonicalize(function(lambda x: nested(x, 15), "x"))
    program.compile_program(graph, (resolve_want(graph, kind, (), ()),), Options(), LIMITS, Countdown(looks))
