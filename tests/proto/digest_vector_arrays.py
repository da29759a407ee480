"""Digest vectors of functions with array operations, loops and calls."""

from __future__ import annotations

from gradmill.v1 import graph_pb2

from tests.proto.digest_vector_building import (
    Body,
    Operation,
    ParameterValue,
    VectorFunction,
    array,
    make_graph,
    scalars,
    shaped,
)

_STEPS = 4


def _growth_body() -> graph_pb2.Graph:
    """Return the body of a loop: from (level, rate) to the new level, which is stacked too."""
    return make_graph(
        scalars("carry0", "element0"),
        [array(1.0)],
        [Operation("add", (2, 1)), Operation("multiply", (0, 3))],
        {"carry0": 4, "result0": 4},
    )


def _square_body() -> graph_pb2.Graph:
    return make_graph(scalars("argument0"), [], [Operation("multiply", (0, 0))], {"result0": 1})


def _fourth_power_body(square: int) -> graph_pb2.Graph:
    """Return a body that calls another one twice."""
    calls = [Operation("call", (argument,), {"function": Body(square)}) for argument in (0, 1)]
    return make_graph(scalars("argument0"), [], calls, {"result0": 2})


def _growth(place: int) -> list[Operation]:
    """Return the operations of the last level, out of a loop's flat result."""
    parameters: dict[str, ParameterValue] = {"function": Body(place), "steps": _STEPS, "carries": 1, "sequences": 1}
    part = {"starts": (0,), "counts": (1,), "steps": (1,)}
    return [
        Operation("scan", (0, 1), parameters),
        Operation("slice", (2,), part),
        Operation("reshape", (3,), {"shape": ()}),
    ]


ARRAY_FUNCTIONS: tuple[VectorFunction, ...] = (
    VectorFunction(
        "norm_of_residuals",
        "A matrix, a vector, and a reduction whose axes are always written and whose keepdims is left out when unset.",
        make_graph(
            [shaped("A", 3, 3), shaped("x", 3)],
            [array(1.0, 2.0, 3.0, shape=[3])],
            [Operation("matmul", (0, 1)), Operation("subtract", (3, 2)), Operation("norm", (4,), {"axes": (0,)})],
            {"value": 5},
        ),
        formula="norm(A @ x - [1, 2, 3])",
    ),
    VectorFunction(
        "part_of_an_array",
        "x[1::2, ::-1, 0] of a shape (5, 3, 2): one slice with an entry for each axis, then one reshape.",
        make_graph(
            [shaped("x", 5, 3, 2)],
            [],
            [
                Operation("slice", (0,), {"starts": (1, 2, 0), "counts": (2, 3, 1), "steps": (2, -1, 1)}),
                Operation("reshape", (1,), {"shape": (2, 3)}),
            ],
            {"value": 2},
        ),
        formula="x[1::2, ::-1, 0]",
    ),
    VectorFunction(
        "sum_of_a_scalar",
        "A reduction over no axes still writes them: an empty list of whole numbers.",
        make_graph(scalars("x"), [], [Operation("sum", (0,), {"axes": ()})], {"value": 1}),
        formula="sum(x)",
    ),
    VectorFunction(
        "contraction",
        "einsum('ij,j->i', A, x): the subscripts are a text.",
        make_graph(
            [shaped("A", 2, 3), shaped("x", 3)],
            [],
            [Operation("einsum", (0, 1), {"subscripts": "ij,j->i"})],
            {"value": 2},
        ),
        formula="einsum('ij,j->i', A, x)",
    ),
    VectorFunction(
        "loop",
        "A body is written as its digest in the parameter that names it.",
        make_graph(
            [*scalars("level"), shaped("rates", _STEPS)], [], _growth(0), {"value": 4}, functions=[_growth_body()]
        ),
    ),
    VectorFunction(
        "loop_among_other_bodies",
        "The places of bodies, and bodies that nothing names, are no part of the function.",
        make_graph(
            [*scalars("level"), shaped("rates", _STEPS)],
            [],
            _growth(2),
            {"value": 4},
            functions=[_square_body(), _fourth_power_body(0), _growth_body()],
        ),
        same_as="loop",
    ),
    VectorFunction(
        "calls_of_calls",
        "A body names bodies before it in the one list of the function.",
        make_graph(
            scalars("x"),
            [],
            [Operation("call", (0,), {"function": Body(1)})],
            {"value": 1},
            functions=[_square_body(), _fourth_power_body(0)],
        ),
    ),
    VectorFunction(
        "calls_of_one_body_given_twice",
        "Bodies with one digest are one body, so that equal calls of them are one value.",
        make_graph(
            scalars("x"),
            [],
            [
                Operation("call", (0,), {"function": Body(1)}),
                Operation("call", (0,), {"function": Body(3)}),
                Operation("add", (1, 2)),
            ],
            {"value": 3},
            functions=[_square_body(), _fourth_power_body(0), _square_body(), _fourth_power_body(2)],
        ),
    ),
)
