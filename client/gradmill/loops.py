"""Loops that stay loops: a body traced once, which the server runs for each step, however many there are.

    def interest(balance, rate):
        balance = balance * (1 + rate)
        return balance, balance

    final, history = gradmill.scan(interest, 100.0, rates)

Carries, sequences and results are values, or tuples, named tuples, lists and dicts (by name) of them. What the body
uses besides, traced outside of it, is taken in by itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

from gradmill.bodies import BodyTrace, body_trace
from gradmill.graph import Body, Input, Shape, size
from gradmill.handles import Handle, common_trace, number_inside
from gradmill.normal_forms import reshaped, shape_of, sliced
from gradmill.places import refuse
from gradmill.shapes import refuse_shapes
from gradmill.structures import Leaf, Structure, taken_apart
from gradmill.tracing import Expression, apply

_PAIR = 2
_Step = Callable[[object, object], tuple[object, object]]


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: object,
    sequences: object = None,
    *,
    steps: SupportsIndex | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Trace a loop that carries values from step to step, and stacks a result of each step.

    Args:
        body: takes the carry and an element of each sequence (None without sequences); returns the new carry, arranged
            and shaped as it came, and the step's result (None for none). It is run once, to be traced.
        carry: what the first step gets: values and containers of them.
        sequences: arrays with one element for each step along their first axis, in containers or not.
        steps: how often; needed without sequences, else the length of these.
        reverse: whether to go from the last element to the first; results stand where their elements do.

    Returns:
        The last carry, and the results, each with a first axis of steps.

    Raises:
        TypeError: nothing is traced, or something is neither traced nor a real number or array.
        TracingError: the carry changes its shape, lengths differ, or there are no steps; with the shapes and the line.
    """

    def step(state: object, element: object) -> tuple[object, object]:
        returned: object = body(state, element)
        if not isinstance(returned, tuple) or len(returned) != _PAIR:
            refuse(
                f"scan: the body returned {type(returned).__name__}, not a pair",
                "Return the new carry and the step's result, as in: return carry, None.",
            )
        new_state, result = returned
        return new_state, result

    return _looped("scan", step, carry, sequences, steps=steps, reverse=reverse)


def fold(
    body: Callable[[Any, Any], Any], carry: object, sequences: object = None, *, steps: SupportsIndex | None = None
) -> Any:  # noqa: ANN401 - it is arranged as the carry came
    """Trace a loop that carries values from step to step; return the last carry.

    Args:
        body: takes the carry and an element of each sequence (None without sequences); returns the new carry, arranged
            and shaped as it came. It is run once, to be traced.
        carry: what the first step gets: values and containers of them.
        sequences: arrays with one element for each step along their first axis, in containers or not.
        steps: how often; needed without sequences, else the length of these.

    Raises:
        TypeError: nothing is traced, or something is neither traced nor a real number or array.
        TracingError: the carry changes its shape, lengths differ, or there are no steps; with the shapes and the line.
    """
    final, _ = _looped("fold", lambda state, element: (body(state, element), None), carry, sequences, steps=steps)
    return final


def map(body: Callable[..., Any], *arrays: object) -> Any:  # noqa: A001, ANN401 - Python's name; arranged as body likes
    """Trace a function of the elements along the first axis of arrays; return its results, stacked.

    Args:
        body: takes an element of each array; returns a value or a container of them. It is run once, to be traced.
        arrays: arrays of one length, in containers or not.

    Raises:
        TypeError: nothing is traced, or something is neither traced nor a real number or array.
        TracingError: lengths differ, or there are none; with the shapes and the line.
    """

    def step(_state: object, elements: object) -> tuple[object, object]:
        return None, body(*elements) if isinstance(elements, tuple) else None

    _, results = _looped("map", step, None, arrays)
    return results


def _looped(
    name: str,
    step: _Step,
    carry: object,
    sequences: object,
    *,
    steps: SupportsIndex | None = None,
    reverse: bool = False,
) -> tuple[object, object]:
    carries, carry_structure = taken_apart(name, carry)
    rows, row_structure = taken_apart(name, sequences)
    count = _step_count(name, [shape_of(row) for row in rows], steps)
    inputs = [Input(f"carry{place}", shape_of(leaf)) for place, leaf in enumerate(carries)]
    inputs += [Input(f"element{place}", shape_of(row)[1:]) for place, row in enumerate(rows)]
    leaves = [*carries, *rows]
    around = common_trace(name, leaves) if any(isinstance(leaf, Handle) for leaf in leaves) else None
    with body_trace(name, inputs, around) as trace:
        handles = iter([Expression(trace, number) for number in range(len(inputs))])
        state, result = step(carry_structure.filled(handles), row_structure.filled(handles))
        new_carries = _checked_carries(name, carries, carry_structure, state)
        results, result_structure = taken_apart(name, result)
        loop_body, captured = _finished(name, trace, new_carries, results)
    arguments = [*leaves, *_outer_values(trace, captured)]
    counts = {"steps": count, "carries": len(carries), "sequences": len(rows)} | ({"reverse": 1} if reverse else {})
    flat = apply("scan", *arguments, function=loop_body, **counts)  # type: ignore[arg-type]  # handles are expressions
    shapes = [(count, *shape) for shape in loop_body.output_shapes[len(carries) :]]
    parts = iter(_parts(flat, [*[shape_of(leaf) for leaf in carries], *shapes]))
    return carry_structure.filled(parts), result_structure.filled(parts)


def _step_count(name: str, shapes: Sequence[Shape], steps: SupportsIndex | None) -> int:
    """Return the number of steps, after comparing all that says it."""
    for shape in shapes:
        if not shape:
            refuse_shapes(name, "is that of a scalar, not of a sequence", [shape])
        if shape[0] != shapes[0][0]:
            refuse_shapes(name, "of sequences have different lengths", [shapes[0], shape])
    if steps is None:
        if not shapes:
            refuse(f"{name}: the number of steps is missing", "Give sequences, whose length it is, or steps=100.")
        return shapes[0][0]
    count = operator.index(steps)
    if shapes and shapes[0][0] != count:
        refuse_shapes(name, f"of a sequence does not have the length steps={count}", shapes[:1])
    if count < 1:
        refuse(f"{name}: steps={count}, but a loop has at least one step")
    return count


def _checked_carries(name: str, carries: Sequence[Leaf], structure: Structure, returned: object) -> list[Leaf]:
    new_carries, new_structure = taken_apart(name, returned)
    if new_structure != structure:
        refuse(
            f"{name}: the carry is {structure} before a step, and {new_structure} after it",
            "Return it arranged as it came.",
        )
    for before, after in zip(carries, new_carries, strict=True):
        if shape_of(before) != shape_of(after):
            refuse(
                f"{name}: the carry changes its shape from {shape_of(before)} to {shape_of(after)}",
                "Start with the shape that a step returns, as in numpy.zeros(3) for three numbers.",
                reason="SHAPE_MISMATCH",
                operation=name,
            )
    return new_carries


def _finished(name: str, trace: BodyTrace, carries: Sequence[Leaf], results: Sequence[Leaf]) -> tuple[Body, list[int]]:
    if not carries and not results:
        refuse(f"{name}: the body returns nothing", "Return at least one value.")
    outputs = {f"carry{place}": leaf for place, leaf in enumerate(carries)}
    outputs |= {f"result{place}": leaf for place, leaf in enumerate(results)}
    return trace.finished({key: number_inside(name, trace, leaf) for key, leaf in outputs.items()})


def _outer_values(trace: BodyTrace, numbers: Sequence[int]) -> list[Expression]:
    return [Expression(trace.parent, number) for number in numbers] if trace.parent is not None else []


def _parts(flat: Expression, shapes: Sequence[Shape]) -> list[Expression]:
    """Return the parts of a vector that follow one another, each in its shape."""
    parts = []
    start = 0
    for shape in shapes:
        parts.append(reshaped(sliced(flat, [start], [size(shape)], [1]), shape))
        start += size(shape)
    return parts
