"""The client's rules of shapes against the server's: the same shape, or both refuse."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import gradmill as gm
import pytest
from gradmill import graph as graphs
from gradmill.canonical import body_of
from gradmill.graph import Graph, Input, Operation, Output, Shape, as_parameters
from gradmill.shape_rules import RULES
from gradmill.shapes import result_shape
from gradmill.wire import graph_message
from gradmill_server.engine import ops
from gradmill_server.engine.errors import EngineError
from gradmill_server.engine.ir import ParameterValue

Parameters = Mapping[str, ParameterValue]
ClientParameters = Mapping[str, graphs.ParameterValue]

SHAPES: tuple[Shape, ...] = ((), (1,), (3,), (1, 3), (2, 3), (3, 2), (3, 3), (2, 3, 3), (3, 2, 1), (1, 1, 3, 2))
FEW_SHAPES: tuple[Shape, ...] = ((), (3,), (2, 3), (3, 3), (2, 3, 3))
AXES = (-1, 0, 1, 2, 4)
AXIS_LISTS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1), (1, 0), (0, 0), (0, 1, 2), (3,), (-1,))
NEW_SHAPES: tuple[Shape, ...] = ((), (3,), (6,), (2, 3), (3, 2), (3, 3), (4, 2, 3), (0, 3), (-1,), (2, 3, 3), (1, 3))
SLICES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((), (), ()),
    ((0,), (3,), (1,)),
    ((2,), (3,), (-1,)),
    ((2,), (3,), (1,)),
    ((1,), (1,), (0,)),
    ((0, 2), (2, 2), (1, -2)),
    ((0, 0), (2, 0), (1, 1)),
    ((-1, 0), (1, 1), (1, 1)),
    ((1, 2, 0), (1, 1, 3), (1, 5, 1)),
)
SUBSCRIPTS = (
    "i->i",
    "i->",
    "ij->ji",
    "ii->i",
    "ii->",
    "ij,j->i",
    "ij,jk->ik",
    "bij,bjk->bik",
    "i,i->",
    "ij->k",
    "ij->ii",
    "i",
    "i.->i",
    "é->é",
    "i->i,",
)

PARAMETERS: Mapping[str, Sequence[Parameters]] = {
    **{
        name: [{"axes": axes, **kept} for axes in AXIS_LISTS for kept in ({}, {"keepdims": 1})]
        for name in ("sum", "mean", "prod", "amax", "amin", "any", "all", "logsumexp", "norm")
    },
    **{
        name: [
            {"axes": axes, **freedom} for axes in AXIS_LISTS for freedom in ({}, {"ddof": 1}, {"ddof": 3}, {"ddof": -1})
        ]
        for name in ("var", "std")
    },
    **{name: [{}, *[{"axis": axis} for axis in AXES]] for name in ("argmax", "argmin")},
    **{
        name: [{"axis": axis} for axis in AXES]
        for name in ("softmax", "log_softmax", "cumsum", "cumprod", "sort", "argsort", "diff", "concatenate", "stack")
    },
    **{name: [{"shape": shape} for shape in NEW_SHAPES] for name in ("reshape", "broadcast_to")},
    "transpose": [{"axes": tuple(order)} for rank in range(5) for order in itertools.permutations(range(rank))]
    + [{"axes": (0, 0)}, {"axes": (-1, 0)}],
    "flip": [{"axes": axes} for axes in AXIS_LISTS],
    "repeat": [{"repeats": count, "axis": axis} for count in (-1, 0, 1, 3) for axis in AXES],
    "tile": [{"repeats": counts} for counts in ((), (2,), (0,), (2, 1), (1, 2, 3), (2, 1, 1, 2))],
    "slice": [{"starts": starts, "counts": counts, "steps": steps} for starts, counts, steps in SLICES],
    "take": [
        {"indices": indices, "index_shape": shape, "axis": axis}
        for indices, shape in (
            ((0,), ()),
            ((1, 0), (2,)),
            ((0, 2, 1, 0), (2, 2)),
            ((-1,), (1,)),
            ((0,), (2,)),
            ((), (0,)),
        )
        for axis in AXES
    ],
    "diag": [{}, *[{"offset": offset} for offset in (-4, -1, 1, 2)]],
    "einsum": [{"subscripts": subscripts} for subscripts in SUBSCRIPTS],
}
"""The parameters to try with each operation, right and wrong ones; an operation that takes none is not listed."""

ROWS = {name: row for name, row in ops.ARRAYS.items() if not row.internal}
WITH_BODIES = {"call", "scan"}

BODY = body_of(
    Graph(
        (Input("carry0"), Input("element0", (2,)), Input("constant0", (2,))),
        (Operation("multiply", (1, 2)), Operation("sum", (3,), as_parameters({"axes": (0,)}))),
        (Output("carry0", 4), Output("result0", 3)),
    ),
    [(), (2,)],
)
"""The body of a loop with one carry, one sequence, one constant and one stacked result."""

LOOPS: Sequence[Mapping[str, int]] = [
    {"steps": steps, "carries": carries, "sequences": sequences, **reverse}
    for steps in (0, 1, 3)
    for carries in (0, 1, 2)
    for sequences in (-1, 0, 1, 3)
    for reverse in ({}, {"reverse": 1})
]
BODY_SHAPES: Sequence[tuple[Shape, ...]] = list(itertools.product([(), (2,)], [(2,), (1, 2), (3, 2)], [(2,), (3, 2)]))


def shapes_for(row: ops.ArrayOperation) -> Iterator[tuple[Shape, ...]]:
    """Return shapes of operands to try with an operation."""
    for count in range(row.least, min(row.most or 3, 3) + 1):
        yield from itertools.product(SHAPES if count < 3 else FEW_SHAPES, repeat=count)


def on_server(row: ops.ArrayOperation, shapes: tuple[Shape, ...], parameters: Parameters) -> Shape | None:
    """Return the shape that the server infers; None when it refuses."""
    try:
        row.check_parameters(parameters)
        return row.shape(parameters, shapes)
    except EngineError:
        return None


def on_client(name: str, shapes: tuple[Shape, ...], parameters: Parameters | ClientParameters) -> Shape | None:
    """Return the shape that the client infers; None when it refuses."""
    try:
        return result_shape(name, as_parameters(parameters), shapes)  # type: ignore[arg-type]  # no bodies among them
    except gm.TracingError:
        return None


def registered_shape(
    client: gm.Client, name: str, shapes: tuple[Shape, ...], parameters: ClientParameters
) -> Shape | None:
    """Return the shape that a server infers for an operation alone in a graph; None when it refuses."""
    inputs = tuple(Input(f"x{place}", shape) for place, shape in enumerate(shapes))
    operation = Operation(name, tuple(range(len(shapes))), as_parameters(parameters))
    graph = Graph(inputs, (operation,), (Output("value", len(shapes)),))
    try:
        return client.register(graph_message(graph)).outputs[0].shape
    except gm.InvalidRequestError:
        return None


@pytest.mark.parametrize("name", sorted(ROWS.keys() - WITH_BODIES))
def test_client_and_server_agree_on_shapes(name: str) -> None:
    """For every operation, shapes and parameters, right or wrong, client and server agree."""
    agreed = 0
    for shapes in shapes_for(ROWS[name]):
        for parameters in PARAMETERS.get(name, [{}]):
            expected = on_server(ROWS[name], shapes, parameters)
            assert on_client(name, shapes, parameters) == expected, (name, shapes, parameters)
            agreed += expected is not None
    assert agreed > 1


def test_client_and_server_have_rules_for_the_same_operations() -> None:
    """An operation that enters the server's table needs a rule in the client, or it would pass as element-wise."""
    assert RULES.keys() == ROWS.keys()


def test_client_and_server_agree_on_loops_and_calls() -> None:
    """Whatever is wrong about the operands of a body, client and server agree on it."""
    outputs: list[ClientParameters] = [{}, {"output": 1}, {"output": 2}, {"output": -1}]
    uses: list[tuple[str, ClientParameters]] = [("call", {"function": BODY, **output}) for output in outputs]
    uses += [("scan", {"function": BODY, **counts}) for counts in LOOPS]
    agreed = 0
    with gm.local() as client:
        for (name, parameters), shapes in itertools.product(uses, [*BODY_SHAPES, ((), (2,))]):
            expected = registered_shape(client, name, shapes, parameters)
            assert on_client(name, shapes, parameters) == expected, (name, shapes, parameters)
            agreed += expected is not None
    assert agreed > 10
