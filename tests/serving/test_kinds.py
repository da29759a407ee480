"""Every kind of derivative through the handler: shapes on the wire, what is kept between calls, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill_server.engine.limits import Limits
from gradmill_server.serving.handler import Handler

from tests.serving.support import (
    array,
    ask,
    failure_of,
    formula,
    handling,
    information,
    matrix,
    numbers,
    refusal,
    small_settings,
)

ROWS = np.random.default_rng(1).normal(size=(7, 2))
VECTORS = np.random.default_rng(2).normal(size=(3, 7, 2))
"""Directions of their own at each point: [directions, points, elements]."""
MISS, HIT = service_pb2.CACHE_OUTCOME_MISS, service_pb2.CACHE_OUTCOME_HIT


def _directions(**arrays: object) -> service_pb2.Direction:
    named = [service_pb2.NamedArray(name=name, array=array(values)) for name, values in arrays.items()]  # type: ignore[arg-type]
    return service_pb2.Direction(arrays=named)


def _want(kind: str, **fields: object) -> service_pb2.Want:
    return service_pb2.Want(derivative=f"DERIVATIVE_{kind}", **fields)  # type: ignore[arg-type]


def _request(
    wants: Sequence[service_pb2.Want], *, by_name: bool = False, text: str = "x**2*y"
) -> service_pb2.EvaluateRequest:
    entries = [service_pb2.InputValues(name=name, values=array(ROWS[:, place])) for place, name in enumerate("xy")]
    points = service_pb2.Points(inputs=entries) if by_name else matrix(ROWS)
    return service_pb2.EvaluateRequest(function=formula(text), wants=wants, points=points)


def _answers(*requests: service_pb2.EvaluateRequest) -> list[service_pb2.EvaluateResponse]:
    async def scenario() -> list[service_pb2.EvaluateResponse]:
        async with handling() as handler:
            return [service_pb2.EvaluateResponse.FromString(await ask(handler, request)) for request in requests]

    return asyncio.run(scenario())


X, Y = ROWS.T
HESSIAN = np.array([[2 * Y, 2 * X], [2 * X, 0 * X]]).transpose(2, 0, 1)
GRADIENT = np.stack([2 * X * Y, X**2], axis=1)


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        (_want("VALUE"), X**2 * Y),
        (_want("GRADIENT"), GRADIENT),
        (_want("JACOBIAN"), GRADIENT),
        (_want("VJP", directions=_directions(value=VECTORS[..., 0])), VECTORS[..., :1] * GRADIENT),
        (_want("JVP", directions=service_pb2.Direction(matrix=array(VECTORS))), (VECTORS * GRADIENT).sum(axis=2)),
        (_want("HVP", directions=_directions(x=VECTORS[..., 0])), VECTORS[..., :1] * HESSIAN[:, :, 0]),
        (_want("HESSIAN"), HESSIAN),
        (_want("HESSIAN_DIAGONAL"), HESSIAN[:, [0, 1], [0, 1]]),
        (_want("SPARSE_JACOBIAN"), GRADIENT),
        (_want("SPARSE_HESSIAN"), HESSIAN[:, [0, 0, 1], [0, 1, 0]]),
    ],
    ids=lambda entry: service_pb2.Derivative.Name(entry.derivative) if isinstance(entry, service_pb2.Want) else "",
)
def test_shapes_for_a_matrix_of_points(want: service_pb2.Want, expected: object) -> None:
    """Directions come first, then points, then the elements of all inputs; with a sum there are no points."""
    plain, summed = _request([want]), _request([want])
    summed.reduction = service_pb2.REDUCTION_SUM
    (one,), (total,) = (list(answer.results) for answer in _answers(plain, summed))
    assert (one.derivative, one.with_respect_to, one.second_with_respect_to) == (want.derivative, "", "")
    assert one.output == ("" if want.derivative == service_pb2.DERIVATIVE_VJP else "value")
    wanted = np.asarray(expected)
    np.testing.assert_allclose(numbers(one.array), wanted, rtol=1e-13, atol=1e-13)
    points_axis = 1 if want.HasField("directions") else 0
    np.testing.assert_allclose(numbers(total.array), wanted.sum(axis=points_axis), rtol=1e-12, atol=1e-12)


def test_points_by_name_have_results_by_name() -> None:
    """Each input, or pair of inputs, has an array of its own, in declared order."""
    wants = [
        _want("HESSIAN"),
        _want("HVP", directions=_directions(y=VECTORS[..., 1])),
        _want("VJP", directions=_directions(value=VECTORS[..., 0]), with_respect_to=["y"]),
    ]
    (answer,) = _answers(_request(wants, by_name=True))
    keys = [(entry.output, entry.with_respect_to, entry.second_with_respect_to) for entry in answer.results]
    pairs = [("value", one, other) for one in "xy" for other in "xy"]
    assert keys == [*pairs, ("value", "x", ""), ("value", "y", ""), ("", "y", "")]
    found = [numbers(entry.array) for entry in answer.results]
    np.testing.assert_allclose(np.stack(found[:4], axis=1), HESSIAN.reshape(7, 4), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found[4], VECTORS[..., 1] * HESSIAN[:, 0, 1], rtol=1e-13)
    np.testing.assert_allclose(found[6], VECTORS[..., 0] * GRADIENT[:, 1], rtol=1e-13)


def test_the_pattern_may_be_left_out() -> None:
    """A wish without pattern has the program of one with it, and the digest tells that the pattern is the same."""
    full, short = _answers(_request([_want("SPARSE_HESSIAN")]), _request([_want("SPARSE_HESSIAN", omit_pattern=True)]))
    pattern, omitted = full.results[0].pattern, short.results[0].pattern
    assert (pattern.rows, pattern.columns, pattern.places) == (2, 2, 3)
    assert (list(pattern.row_starts), list(pattern.column_indices)) == ([0, 2, 3], [0, 1, 0])
    assert (list(omitted.row_starts), list(omitted.column_indices), omitted.places) == ([], [], 3)
    assert len(pattern.digest) == 32
    assert omitted.digest == pattern.digest
    assert (full.cache, short.cache) == (MISS, HIT)


def test_a_jacobian_says_how_it_was_computed() -> None:
    """The mode stands beside each Jacobian and beside nothing else."""
    (answer,) = _answers(_request([_want("JACOBIAN"), _want("GRADIENT")]))
    assert answer.results[0].mode in {service_pb2.MODE_FORWARD, service_pb2.MODE_REVERSE}
    assert answer.results[1].mode == service_pb2.MODE_UNSPECIFIED


def test_each_number_of_directions_has_a_program() -> None:
    """The same wish with other directions is a hit, with another number of them it is not."""
    requests = [
        _request([_want("JVP", directions=service_pb2.Direction(matrix=array(VECTORS[:count] * scale)))])
        for count, scale in [(1, 1.0), (1, 2.0), (2, 1.0)]
    ]
    assert [answer.cache for answer in _answers(*requests)] == [MISS, HIT, MISS]


def test_registering_takes_the_number_of_directions() -> None:
    """Registered wishes need no directions: one is meant, and a call with one finds the program."""
    register = service_pb2.RegisterFunctionRequest(function=formula("x**2*y"), wants=[_want("JVP")])
    request = _request([_want("JVP", directions=service_pb2.Direction(matrix=array(VECTORS[:1])))])

    async def scenario(handler: Handler) -> int:
        await handler.register_function(register.SerializeToString(), handler.context(60))
        return service_pb2.EvaluateResponse.FromString(await ask(handler, request)).cache

    async def run() -> int:
        async with handling() as handler:
            return await scenario(handler)

    assert asyncio.run(run()) == HIT


@pytest.mark.parametrize(
    ("want", "status", "reason", "text"),
    [
        (
            _want("JVP"),
            "INVALID_ARGUMENT",
            "DIRECTIONS_MISSING",
            "wants[0].directions: DERIVATIVE_JVP needs directions",
        ),
        (
            _want("HESSIAN", directions=_directions(x=VECTORS[..., 0])),
            "INVALID_ARGUMENT",
            "DIRECTIONS_UNEXPECTED",
            "DERIVATIVE_HESSIAN takes no directions",
        ),
        (
            _want("HVP", directions=_directions(x=VECTORS[:, :4, 0])),
            "INVALID_ARGUMENT",
            "DIRECTIONS_SHAPE",
            "wants[0].directions.arrays[0]: input 'x' has shape (3, 4), expected [3 directions, 7 points]",
        ),
        (
            _want("VJP", directions=_directions(x=VECTORS[..., 0])),
            "INVALID_ARGUMENT",
            "OUTPUT_UNKNOWN",
            "the wish is not about output 'x', but about 'value'",
        ),
        (
            _want("JVP", with_respect_to=["y"], directions=_directions(x=VECTORS[..., 0])),
            "INVALID_ARGUMENT",
            "INPUT_UNKNOWN",
            "the wish is not about input 'x', but about 'y'",
        ),
        (
            _want("JVP", directions=_directions(x=np.ones((5, 7)))),
            "RESOURCE_EXHAUSTED",
            "TOO_MANY_DIRECTIONS",
            "wants[0].directions: number of directions 5, limit 4; knob: maximum_directions",
        ),
    ],
)
def test_wrong_directions(want: service_pb2.Want, status: str, reason: str, text: str) -> None:
    """Directions that are missing, unwanted, too many, or of another shape are refused by field and name."""

    async def scenario() -> tuple[str, str, str, str]:
        async with handling(small_settings(Limits(maximum_directions=4))) as handler:
            failure = await failure_of(ask(handler, _request([want])))
            return (*refusal(failure), failure.message, information(failure).metadata["field"])

    code, found, message, field = asyncio.run(scenario())
    assert (code, found) == (status, reason)
    assert text in message
    assert field.startswith("wants[0].directions")


def test_a_kind_of_scalars_is_refused_for_an_array() -> None:
    """The Hessian of an output that is no scalar is refused with the output's shape."""

    async def scenario() -> str:
        async with handling() as handler:
            return str((await failure_of(ask(handler, _request([_want("HESSIAN")], text="[x, y]")))).message)

    assert "output 'value' has shape (2,)" in asyncio.run(scenario())
