"""Derivatives of loops, which are loops again (Griewank and Walther, "Evaluating Derivatives", 2nd ed., chapter 12).

A tangent travels with the carries: its loop has the carries and the tangents of those that vary. A cotangent travels
the other way: a loop forwards stores the carries that each step began with, and a loop backwards hands the cotangents
of the carries from step to step, adds up those of the constants, and gives those of the elements of sequences. A step
of either is the body's own derivative, so that its rules, conventions and strong zeros are those of any function, and
the derivatives of these loops, of any order, need no other rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gradmill_server.engine.canonical import body_of
from gradmill_server.engine.ir import Graph, Output, Shape, size
from gradmill_server.engine.ops.array_operation import Site
from gradmill_server.engine.ops.arrays.loop_steps import Step, Trimmed, finished, run, step_builder, trimmed, varied
from gradmill_server.engine.ops.arrays.loops import CALL_ROW, SCAN_ROW, Loop, output_shapes, parts_of, scanned
from gradmill_server.engine.ops.arrays.movement import concatenated, part, reshaped, transposed
from gradmill_server.engine.ops.arrays.sums import broadcasted
from gradmill_server.engine.ops.value import Value, emit_elementwise


class _Reverse(NamedTuple):
    """What a reverse loop hands back: places among the inputs of the body.

    Attributes:
        handed: carries whose cotangents go from step to step.
        summed: constants whose cotangents are added up.
        walked: sequences whose elements have cotangents.
        seeded: outputs of the body whose cotangents begin it.
    """

    handed: list[int]
    summed: list[int]
    walked: list[int]
    seeded: list[int]


def pullback_of_scan(site: Site, cotangent: Value, wanted: Sequence[bool]) -> list[Value | None]:
    """Return the cotangents of a loop's arguments."""
    loop = Loop.of(site.parameters)
    chosen = [place for place, want in enumerate(wanted) if want]
    inputs, seeded = varied(Step(loop.body.graph, loop.carries, loop.sequences), chosen)
    if not seeded:
        return [None] * len(wanted)
    graph, present = site.derivative_of(loop.body.graph, inputs, seeded)
    there = {place for place, exists in zip(inputs, present, strict=True) if exists}
    first_constant = loop.carries + loop.sequences
    roles = _Reverse(
        handed=[place for place in inputs if place < loop.carries],
        summed=[place for place in inputs if place >= first_constant and place in there],
        walked=[place for place in inputs if loop.carries <= place < first_constant and place in there],
        seeded=seeded,
    )
    step = _reverse_step(loop, roles, graph, inputs, site.leading)
    wanted_outputs = [
        place for place, body_place in enumerate((*roles.handed, *roles.summed, *roles.walked)) if wanted[body_place]
    ]
    if not wanted_outputs:
        return [None] * len(wanted)
    left = trimmed(step, wanted_outputs)
    made = run(left, _reverse_arguments(site, loop, roles, left, cotangent), loop.steps, reverse=not loop.reverse)
    result: list[Value | None] = [None] * len(wanted)
    for place, body_place in enumerate((*roles.handed, *roles.summed, *roles.walked)):
        if wanted[body_place] and body_place in there:
            value = made[place]
            result[body_place] = _steps_behind(value, site.leading) if body_place in roles.walked else value
    return result


def _reverse_step(loop: Loop, roles: _Reverse, graph: Graph, inputs: Sequence[int], leading: Shape) -> Step:
    """Return a step backwards, given the pullback of the body.

    Its carries are the cotangents of the body's carries and the sums of those of the constants. Its sequences are the
    body's carries at the beginning of each step, the body's sequences, and the cotangents of the stacked results.
    """
    shapes, results = loop.input_shapes, output_shapes(loop.body.graph)
    first_constant = loop.carries + loop.sequences
    carries = [leading + shapes[place] for place in (*roles.handed, *roles.summed)]
    stacked = [place for place in roles.seeded if place >= loop.carries]
    sequences = [*shapes[:first_constant], *(leading + results[place] for place in stacked)]
    builder = step_builder(carries, sequences, shapes[first_constant:], graph.element_type)
    first, sums = len(carries), len(roles.handed)
    constants = range(first + len(sequences), first + len(sequences) + len(shapes) - first_constant)
    seed_of = {
        **{place: number for number, place in enumerate(roles.handed)},
        **{place: first + first_constant + number for number, place in enumerate(stacked)},
    }
    primal = [*range(first, first + first_constant), *constants]
    made = builder.include(graph, [*primal, *(seed_of[place] for place in roles.seeded)])
    cotangent_of = dict(zip(inputs, made, strict=True))
    added = [
        emit_elementwise(builder, "add", (sums + number, cotangent_of[place]))
        for number, place in enumerate(roles.summed)
    ]
    handed, walked = ([cotangent_of[place] for place in places] for places in (roles.handed, roles.walked))
    return Step(finished(builder, [*handed, *added, *walked]), len(carries), len(sequences))


def _reverse_arguments(site: Site, loop: Loop, roles: _Reverse, left: Trimmed, cotangent: Value) -> list[Value]:
    """Return what a loop backwards begins with, walks through and looks at; carries are stored where it needs them."""
    cotangents = _cotangent_parts(loop, cotangent, site.leading)
    begin = [cotangents[place] for place in roles.handed]
    begin += [_zeros(cotangent, site.leading + site.operands[place].shape) for place in roles.summed]
    first = len(begin)
    stored = _stored_carries(
        site, loop, [place - first for place in left.inputs if first <= place < first + loop.carries]
    )
    seeds = [_steps_in_front(cotangents[place], site.leading) for place in roles.seeded if place >= loop.carries]
    first_constant = loop.carries + loop.sequences
    walked = [stored.get(place) for place in range(loop.carries)]
    every = [*begin, *walked, *site.operands[loop.carries : first_constant], *seeds, *site.operands[first_constant:]]
    chosen = [every[place] for place in left.inputs]
    return [value for value in chosen if value is not None]


def _stored_carries(site: Site, loop: Loop, places: Sequence[int]) -> Mapping[int, Value]:
    """Return the values [steps, *shape] that some carries have at the beginning of each step, by place."""
    if not places:
        return {}
    body = loop.body.graph
    outputs = [*body.outputs, *(Output(f"stored{place}", place) for place in places)]
    storing = loop._replace(body=body_of(replace(body, outputs=tuple(outputs))))
    parts = parts_of(storing, scanned(storing, site.operands))
    return dict(zip(places, parts[len(body.outputs) :], strict=True))


def _cotangent_parts(loop: Loop, cotangent: Value, leading: Shape) -> list[Value]:
    """Return the cotangents of the last carries and of the stacked results out of that of the flat value."""
    axis = len(leading)
    return [
        reshaped(part(cotangent, axis, start, size(shape)), leading + shape)
        for start, shape in zip(loop.part_starts, loop.part_shapes, strict=False)
    ]


def pushforward_of_scan(site: Site, tangents: Sequence[Value | None]) -> Value | None:
    """Return the tangent of a loop's value."""
    loop, leading = Loop.of(site.parameters), site.leading
    body = loop.body.graph
    given = [place for place, tangent in enumerate(tangents) if tangent is not None]
    inputs, outputs = varied(Step(body, loop.carries, loop.sequences), given)
    if not outputs:
        return None
    graph, present = site.derivative_of(body, inputs, outputs)
    there = [place for place, exists in zip(outputs, present, strict=True) if exists]
    if not there:
        return None
    carried = [place for place in inputs if place < loop.carries]
    stacked = [place for place in there if place >= loop.carries]
    place_of = {place: loop.carries + number for number, place in enumerate((*carried, *stacked)) if place in there}
    left = trimmed(_forward_step(loop, graph, inputs, outputs, stacked, leading), place_of.values())
    made = run(left, _forward_arguments(site, loop, inputs, left, tangents), loop.steps, reverse=loop.reverse)
    parts = []
    for place, shape in enumerate(loop.part_shapes):
        flat = (*leading, size(shape))
        if place not in place_of:
            parts.append(_zeros(site.result, flat))
            continue
        value = made[place_of[place]]
        parts.append(reshaped(value if place < loop.carries else _steps_behind(value, leading), flat))
    return concatenated(parts, len(leading))


def _forward_step(
    loop: Loop, graph: Graph, inputs: Sequence[int], outputs: Sequence[int], stacked: Sequence[int], leading: Shape
) -> Step:
    """Return a step of carries and tangents, given the pushforward of the body.

    Among its carries, sequences and constants those of the body come first, and then the tangents of those that vary.
    """
    shapes, first_constant = loop.input_shapes, loop.carries + loop.sequences
    groups = [range(loop.carries), range(loop.carries, first_constant), range(first_constant, len(shapes))]
    varying = [[place for place in inputs if place in group] for group in groups]
    carries, sequences, constants = (
        [*(shapes[place] for place in group), *(leading + shapes[place] for place in varied_places)]
        for group, varied_places in zip(groups, varying, strict=True)
    )
    builder = step_builder(carries, sequences, constants, graph.element_type)
    index_of: list[int] = []
    tangent_of: dict[int, int] = {}
    first = 0
    for group, varied_places in zip(groups, varying, strict=True):
        index_of += range(first, first + len(group))
        tangent_of |= {place: first + len(group) + number for number, place in enumerate(varied_places)}
        first += len(group) + len(varied_places)
    made = builder.include(graph, [*index_of, *(tangent_of[place] for place in inputs)])
    tangents = dict(zip(outputs, made[len(loop.body.graph.outputs) :], strict=True))
    begun = Value(builder, builder.constant(0.0))
    handed = [
        tangents[place] if place in tangents else broadcasted(begun, leading + shapes[place]).index
        for place in varying[0]
    ]
    results = [*made[: loop.carries], *handed, *(tangents[place] for place in stacked)]
    return Step(finished(builder, results), len(carries), len(sequences))


def _forward_arguments(
    site: Site, loop: Loop, inputs: Sequence[int], left: Trimmed, tangents: Sequence[Value | None]
) -> list[Value]:
    """Return what a loop of carries and tangents begins with, walks through and looks at."""
    leading, first_constant = site.leading, loop.carries + loop.sequences
    every: list[Value] = []
    for group in (range(loop.carries), range(loop.carries, first_constant), range(first_constant, len(tangents))):
        every += [site.operands[place] for place in group]
        for place in group:
            if place not in inputs:
                continue
            tangent = tangents[place]
            if tangent is None:
                tangent = _zeros(site.result, leading + site.operands[place].shape)
            every.append(_steps_in_front(tangent, leading) if loop.is_sequence(place) else tangent)
    return [every[place] for place in left.inputs]


def _steps_in_front(value: Value, leading: Shape) -> Value:
    """Return [*leading, steps, *shape] as [steps, *leading, *shape]."""
    count = len(leading)
    return transposed(value, (count, *range(count), *range(count + 1, len(value.shape))))


def _steps_behind(value: Value, leading: Shape) -> Value:
    """Return [steps, *leading, *shape] as [*leading, steps, *shape]."""
    count = len(leading)
    return transposed(value, (*range(1, count + 1), 0, *range(count + 1, len(value.shape))))


def _zeros(beside: Value, shape: Shape) -> Value:
    """Return zeros in the graph of another value."""
    return broadcasted(Value(beside.builder, beside.builder.constant(0.0)), shape)


SCAN_WITH_DERIVATIVES = replace(SCAN_ROW, pullback=pullback_of_scan, pushforward=pushforward_of_scan)

OPERATIONS = (CALL_ROW, SCAN_WITH_DERIVATIVES)
