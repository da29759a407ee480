"""Functions on the wire that bring bodies along: what the client writes is what the server reads."""

from __future__ import annotations

import pytest
from gradmill.canonical import body_of, digest
from gradmill.graph import Body, Graph, Input, Operation, Output, Parameter, ParameterKind
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.wire import graph_message
from gradmill_server.engine.errors import InvalidGraph, LimitExceeded
from gradmill_server.engine.limits import Limits
from gradmill_server.serving.functions import StoredFunction, stored
from gradmill_server.serving.wire.functions import DigestReference, read_function

LIMITS = Limits()
STEP = Graph((Input("carry"), Input("element")), (Operation("multiply", (0, 1)),), (Output("carry", 2),))


def named(body: Body) -> Parameter:
    """Return the parameter that names a body."""
    return Parameter("function", ParameterKind.FUNCTION, body)


def whole(name: str, value: int) -> Parameter:
    """Return a parameter that is a whole number."""
    return Parameter(name, ParameterKind.INTEGER, value)


def product(steps: int = 4) -> Graph:
    """Return the product of some numbers, by a loop in a body that is called."""
    counts = (whole("steps", steps), whole("carries", 1), whole("sequences", 1))
    loop = Operation("scan", (0, 1), (named(body_of(STEP, [()])), *counts))
    inner = Graph((Input("start"), Input("factors", (4,))), (loop,), (Output("flat", 2),))
    call = Operation("call", (0, 1), (named(body_of(inner, [(1,)])),))
    return Graph((Input("start"), Input("factors", (4,))), (call,), (Output("value", 2),))


def received(graph: Graph, limits: Limits = LIMITS) -> StoredFunction:
    """Return a function that a client sent."""
    reference = read_function(service_pb2.Function(graph=graph_message(graph)))
    assert not isinstance(reference, DigestReference)
    return stored(reference.read(limits))


def test_a_function_with_bodies_is_read_and_has_the_digest_that_the_client_computes() -> None:
    """Bodies are read in order, each where its users name it."""
    function = received(product())
    assert function.digest == digest(product())
    assert function.graph.nodes[2].shape == (1,)


def test_the_cache_counts_the_bodies_of_a_function() -> None:
    """A function occupies what its bodies occupy as well."""
    small = received(product())
    chain = Graph((Input("x"),), tuple(Operation("sin", (place,)) for place in range(1_000)), (Output("y", 1_000),))
    call = Operation("call", (0,), (named(body_of(chain, [()])),))
    large = received(Graph((Input("x"),), (call,), (Output("value", 1),)))
    assert large.byte_size > small.byte_size + 100_000


def test_a_mistake_in_a_body_names_the_body() -> None:
    """The place of a mistake is a path in the message: the body's place in the list, and the node's in the body."""
    with pytest.raises(InvalidGraph) as caught:
        received(product(steps=5))
    assert caught.value.violations[0].field == "function.graph.functions[1].nodes[0].arguments"


def test_bodies_without_end_are_refused_by_number() -> None:
    """A message of a hundred thousand empty bodies is refused before they are read."""
    message = graph_message(product())
    for _ in range(100_000):
        message.functions.add()
    reference = read_function(service_pb2.Function(graph=message))
    assert not isinstance(reference, DigestReference)
    with pytest.raises(LimitExceeded) as caught:
        reference.read(LIMITS)
    assert caught.value.reason == "TOO_MANY_FUNCTIONS"


def picking(count: int) -> Graph:
    """Return so many elements taken out of one."""
    parameters = (
        whole("axis", 0),
        Parameter("index_shape", ParameterKind.INTEGERS, (count,)),
        Parameter("indices", ParameterKind.INTEGERS, (0,) * count),
    )
    return Graph((Input("x", (1,)),), (Operation("take", (0,), parameters),), (Output("value", 1),))


def test_a_list_longer_than_any_value_is_refused_before_it_is_copied() -> None:
    """A list of whole numbers that could not all be places of one value is refused by its length."""
    received(picking(50), Limits(maximum_elements_per_value=50))
    with pytest.raises(LimitExceeded) as caught:
        received(picking(51), Limits(maximum_elements_per_value=50))
    assert caught.value.reason == "LIST_TOO_LONG"
    assert caught.value.metadata["field"] == "function.graph.nodes[0].parameters[2]"


def test_the_cache_counts_lists_in_parameters() -> None:
    """A function with a thousand indices occupies more than one with three."""
    assert received(picking(1_000)).byte_size > received(picking(3)).byte_size + 8_000
