"""Functions with loops, written once and built twice: with a loop, and with the loop's steps one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from gradmill_server.engine import ops
from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.ir import Body, Graph, GraphBuilder, Input, Output, ParameterValue
from gradmill_server.engine.ops.arrays.loops import Loop, parts_of, scanned
from gradmill_server.engine.ops.value import Value, apply

from tests.engine.building import function, number

Step = Callable[[list[Value], list[Value], list[Value]], tuple[list[Value], list[Value]]]
"""From carries, elements of sequences and constants to new carries and results."""

LoopResult = tuple[list[Value], list[Value]]
"""The last carries, and the stacked results."""


class Looping(Protocol):
    """Runs a step again and again."""

    def __call__(
        self,
        step: Step,
        carries: Sequence[Value] = (),
        sequences: Sequence[Value] = (),
        constants: Sequence[Value] = (),
        *,
        steps: int,
        reverse: bool = False,
    ) -> LoopResult:
        """Return the last carries, and the stacked results."""


def array(name: str, *operands: Value, **parameters: ParameterValue) -> Value:
    """Apply an array operation."""
    builder = operands[0].builder
    return Value(builder, ops.emit(builder, name, [value.index for value in operands], tuple(parameters.items())))


def total(value: Value) -> Value:
    """Return the sum of all elements."""
    return array("sum", value, axes=tuple(range(len(value.shape)))) if value.shape else value


def element(values: Value, place: int) -> Value:
    """Return one entry along the first axis."""
    rank = len(values.shape)
    counts = (1, *values.shape[1:])
    part = array("slice", values, starts=(place,) + (0,) * (rank - 1), counts=counts, steps=(1,) * rank)
    return array("reshape", part, shape=values.shape[1:])


def step_body(step: Step, carries: Sequence[Value], sequences: Sequence[Value], constants: Sequence[Value]) -> Body:
    """Return a step as a body for arguments of these shapes."""
    shapes = [*(value.shape for value in carries), *(value.shape[1:] for value in sequences)]
    shapes += [value.shape for value in constants]
    element_type = next(value.builder.element_type for value in (*carries, *sequences, *constants))
    builder = GraphBuilder([Input(f"argument{place}", shape, element_type) for place, shape in enumerate(shapes)])
    values = [Value(builder, place) for place in range(len(shapes))]
    first, second = len(carries), len(carries) + len(sequences)
    new, results = step(values[:first], values[first:second], values[second:])
    outputs = [Output(f"result{place}", value.index) for place, value in enumerate((*new, *results))]
    return body_of(builder.build(outputs))


def scan(
    step: Step,
    carries: Sequence[Value] = (),
    sequences: Sequence[Value] = (),
    constants: Sequence[Value] = (),
    *,
    steps: int,
    reverse: bool = False,
) -> LoopResult:
    """Run a step by the operation for it."""
    body = step_body(step, carries, sequences, constants)
    loop = Loop(body, steps, len(carries), len(sequences), reverse)
    parts = parts_of(loop, scanned(loop, [*carries, *sequences, *constants]))
    return parts[: len(carries)], parts[len(carries) :]


def unrolled(
    step: Step,
    carries: Sequence[Value] = (),
    sequences: Sequence[Value] = (),
    constants: Sequence[Value] = (),
    *,
    steps: int,
    reverse: bool = False,
) -> LoopResult:
    """Run a step by writing all steps into the graph."""
    held = list(carries)
    rows: dict[int, list[Value]] = {}
    for place in range(steps - 1, -1, -1) if reverse else range(steps):
        held, rows[place] = step(held, [element(values, place) for values in sequences], list(constants))
    columns = zip(*(rows[place] for place in range(steps)), strict=True)
    return held, [array("stack", *column, axis=0) for column in columns]


class Case(NamedTuple):
    """A function with a loop.

    Attributes:
        name: what it is about.
        inputs: its inputs.
        make: the function, given what runs its loops.
    """

    name: str
    inputs: tuple[Input, ...]
    make: Callable[..., Value]

    def graph(self, loop: Looping) -> Graph:
        """Return the function with its loops run in this way."""
        return function(lambda *inputs: self.make(loop, *inputs), *self.inputs)


def _logistic(loop: Looping, start: Value, rate: Value) -> Value:
    (last,), _ = loop(lambda c, _s, k: ([k[0] * c[0] * (1.0 - c[0])], []), [start], (), [rate], steps=6)
    return last


def _folded(loop: Looping, rates: Value, start: Value) -> Value:
    (level,), (levels,) = loop(
        lambda c, s, _k: ([c[0] * (1.0 + apply("tanh", s[0]))], [c[0] * s[0]]), [start], [rates], steps=5
    )
    return level * total(apply("sin", levels))


def _mapped(loop: Looping, rows: Value, scale: Value) -> Value:
    _, (squares, sines) = loop(
        lambda _c, s, k: ([], [s[0] * s[0] * k[0], apply("sin", total(s[0]))]), (), [rows], [scale], steps=4
    )
    return total(squares) * total(sines)


def _backwards(loop: Looping, values: Value, start: Value) -> Value:
    (held,), (trail,) = loop(
        lambda c, s, _k: ([apply("cos", c[0]) + s[0]], [c[0] * c[0]]), [start], [values], steps=5, reverse=True
    )
    return total(trail * values) + held


def _recurrent(loop: Looping, hidden: Value, inputs: Value, weights: Value, mixing: Value) -> Value:
    def step(carries: list[Value], elements: list[Value], constants: list[Value]) -> LoopResult:
        mixed = array("matmul", constants[0], carries[0]) + array("matmul", constants[1], elements[0])
        new = apply("tanh", mixed)
        return [new], [total(new * new)]

    (last,), (energies,) = loop(step, [hidden], [inputs], [weights, mixing], steps=4)
    return total(last) + total(energies)


def _oscillator(loop: Looping, position: Value, speed: Value, stiffness: Value) -> Value:
    def step(carries: list[Value], _elements: list[Value], constants: list[Value]) -> LoopResult:
        where, fast, clock = carries
        faster = fast - 0.1 * constants[0] * apply("sin", where)
        return [where + 0.1 * faster, faster, clock + 1.0], [where * clock]

    (where, _, _), (trail,) = loop(step, [position, speed, number(position, 0.0)], (), [stiffness], steps=7)
    return where + 0.01 * total(trail)


def _shared(loop: Looping, value: Value) -> Value:
    """One argument in three places, a carry that passes through, and a result that does not depend on anything."""

    def step(carries: list[Value], _elements: list[Value], constants: list[Value]) -> LoopResult:
        return [carries[0] * constants[0], carries[1]], [carries[1] * carries[0], number(carries[0], 2.0)]

    (grown, kept), (products, twos) = loop(step, [value, value], (), [value], steps=3)
    return grown * kept + total(products) * total(twos)


def _nested(loop: Looping, start: Value, grid: Value, rate: Value) -> Value:
    def inner(carries: list[Value], elements: list[Value], constants: list[Value]) -> LoopResult:
        new = carries[0] + constants[0] * elements[0] * apply("cos", carries[0])
        return [new], [new * elements[0]]

    def outer(carries: list[Value], elements: list[Value], constants: list[Value]) -> LoopResult:
        (held,), (products,) = loop(inner, [carries[0] * 0.9], [elements[0]], [constants[0]], steps=3, reverse=True)
        return [held], [total(products)]

    (held,), (sums,) = loop(outer, [start], [grid], [rate], steps=4)
    return held + total(sums * sums)


def _kinked(loop: Looping, start: Value, values: Value) -> Value:
    def step(carries: list[Value], elements: list[Value], _constants: list[Value]) -> LoopResult:
        (held,), (entry,) = carries, elements
        root = apply("where", apply("greater", held, 0.0), apply("sqrt", held), 0.0)
        return [apply("maximum", root, entry)], [apply("abs", held - entry)]

    (held,), (distances,) = loop(step, [start], [values], steps=4)
    return held + total(distances)


CASES = (
    Case("logistic map", (Input("start"), Input("rate")), _logistic),
    Case("fold with results", (Input("rates", (5,)), Input("start")), _folded),
    Case("map over rows", (Input("rows", (4, 3)), Input("scale", (3,))), _mapped),
    Case("from the last to the first", (Input("values", (5,)), Input("start")), _backwards),
    Case(
        "recurrent network",
        (Input("hidden", (3,)), Input("inputs", (4, 2)), Input("weights", (3, 3)), Input("mixing", (3, 2))),
        _recurrent,
    ),
    Case("oscillator", (Input("position"), Input("speed"), Input("stiffness")), _oscillator),
    Case("one argument everywhere", (Input("value"),), _shared),
    Case("loop in a loop", (Input("start"), Input("grid", (4, 3)), Input("rate")), _nested),
    Case("kinks", (Input("start"), Input("values", (4,))), _kinked),
)
"""Functions of one scalar output."""

BY_NAME = {case.name: case for case in CASES}
