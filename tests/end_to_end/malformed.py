"""Requests that are wrong, each in its own way, and the reason a server must give for refusing it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from gradmill.v1.gradient_service_pb2 import (
    DERIVATIVE_GRADIENT,
    DERIVATIVE_VALUE,
    EvaluateRequest,
    Function,
    InputValues,
    Points,
    Want,
)
from gradmill.v1.graph_pb2 import Array, Formula, Graph, Input, Node, Output, Parameter

EXHAUSTED = "RESOURCE_EXHAUSTED"
INVALID = "INVALID_ARGUMENT"
NOT_FOUND = "NOT_FOUND"


class Malformed(NamedTuple):
    """One wrong request.

    Attributes:
        name: what is wrong with it.
        body: the serialized request.
        reason: the reason in the error's ErrorInfo.
        place: a part of the message that says where.
        status: the status code's name.
    """

    name: str
    body: bytes
    reason: str
    place: str
    status: str = INVALID


def malformed_requests() -> Iterator[Malformed]:
    """Return every wrong request there is a kind of."""
    yield from _wrong_bytes()
    yield from _wrong_graphs()
    yield from _wrong_formulas()
    yield from _wrong_wishes()
    yield from _wrong_points()


def good_request() -> EvaluateRequest:
    """Return a request that every server answers: 3*(x1**2 + x2*x3) at (2, 3, 4)."""
    return _request(Function(formula=Formula(text="3*(x1**2 + x2*x3)")))


def _request(function: Function) -> EvaluateRequest:
    return EvaluateRequest(
        function=function,
        wants=[Want(derivative=DERIVATIVE_VALUE), Want(derivative=DERIVATIVE_GRADIENT)],
        points=Points(matrix=Array(shape=[1, 3], values=[2.0, 3.0, 4.0])),
    )


def _wrong_bytes() -> Iterator[Malformed]:
    whole = good_request().SerializeToString()
    generator = random.Random(1)
    reason = "REQUEST_MALFORMED"
    yield Malformed("cut in the middle", whole[: len(whole) // 2], reason, "EvaluateRequest")
    yield Malformed("cut by one byte", whole[:-1], reason, "EvaluateRequest")
    yield Malformed("a length beyond the end", b"\x0a\xff\xff\xff\x7f", reason, "EvaluateRequest")
    yield Malformed("a varint without end", b"\x08" + b"\xff" * 11, reason, "EvaluateRequest")
    yield Malformed("an impossible wire type", b"\x0f\x00", reason, "EvaluateRequest")
    bad_text = (
        _request(Function(formula=Formula(text="abcdefgh"))).SerializeToString().replace(b"abcdefgh", b"\xff" * 8)
    )
    yield Malformed("a text that is not UTF-8", bad_text, reason, "EvaluateRequest")
    for size in (1, 16, 256, 4096):
        body = b"\x0b" + generator.randbytes(size)
        yield Malformed(f"{size} random bytes", body, reason, "EvaluateRequest")
    yield Malformed("nothing at all", b"", "FUNCTION_MISSING", "function")


def _seed_graph() -> Graph:
    """Return x1**2 + x2: values 0 and 1 are inputs, 2 a constant, 3 and 4 nodes."""
    return Graph(
        inputs=[Input(name="x1"), Input(name="x2")],
        constants=[Array(values=[2.0])],
        operation_names=["power", "add"],
        nodes=[Node(operation=0, arguments=[0, 2]), Node(operation=1, arguments=[3, 1])],
        outputs=[Output(name="value", value=4)],
    )


def _wrong_graph(name: str, graph: Graph, reason: str, place: str) -> Malformed:
    return Malformed(name, _request(Function(graph=graph)).SerializeToString(), reason, place)


def _wrong_graphs() -> Iterator[Malformed]:
    wrong = _wrong_graph

    graph = _seed_graph()
    graph.nodes[0].arguments[0] = 3
    yield wrong("a node that is its own argument", graph, "CYCLE", "graph.nodes[0].arguments[0]")

    graph = _seed_graph()
    graph.nodes[0].arguments[0] = 4
    yield wrong("two nodes in a cycle", graph, "CYCLE", "graph.nodes[0].arguments[0]")

    graph = _seed_graph()
    graph.nodes.append(Node(operation=1, arguments=[0, 1]))
    graph.nodes[0].arguments[0] = 5
    yield wrong("a node before what it needs", graph, "FORWARD_REFERENCE", "graph.nodes[0].arguments[0]")

    for argument in (99, 2**32 - 1):
        graph = _seed_graph()
        graph.nodes[1].arguments[1] = argument
        yield wrong(f"value {argument} of 5", graph, "ARGUMENT_OUT_OF_RANGE", "graph.nodes[1].arguments[1]")

    for count in (0, 1, 3):
        graph = _seed_graph()
        del graph.nodes[1].arguments[:]
        graph.nodes[1].arguments.extend([0] * count)
        yield wrong(f"an addition of {count} values", graph, "ARITY", "node 1")

    for unknown in ("sine", "", "__import__", "strong_product", "e" * 10_000):
        graph = _seed_graph()
        graph.operation_names[1] = unknown
        yield wrong(f"an operation called {unknown[:12]!r}", graph, "OPERATION_UNKNOWN", "graph.operation_names[1]")

    graph = _seed_graph()
    graph.operation_names.append("add")
    yield wrong("an operation named twice", graph, "OPERATION_DUPLICATE", "graph.operation_names[2]")

    graph = _seed_graph()
    graph.nodes[1].operation = 7
    yield wrong("an operation beyond the names", graph, "OPERATION_INDEX", "graph.nodes[1].operation")

    graph = _seed_graph()
    graph.nodes[1].parameters.append(Parameter(name="axis", integer=1))
    yield wrong("a parameter that an addition has not", graph, "PARAMETER_UNKNOWN", "graph.nodes[1].parameters[0]")

    graph = _seed_graph()
    graph.inputs[0].shape.append(2)
    graph.inputs[1].shape.append(3)
    yield wrong("shapes (2,) and (3,) added", graph, "SHAPE_MISMATCH", "node 1")

    for shape, reason in (([0], "SHAPE_INVALID"), ([2**32, 2**32], "SHAPE_TOO_LARGE"), ([1] * 9, "RANK_TOO_LARGE")):
        graph = _seed_graph()
        graph.inputs[1].shape.extend(shape)
        yield wrong(f"an input of shape {shape}", graph, reason, "graph.inputs[1].shape")

    graph = _seed_graph()
    graph.constants[0].shape.append(3)
    yield wrong("a constant of one element for three", graph, "CONSTANT_SIZE", "graph.constants[0]")

    yield from _wrong_names()


def _wrong_names() -> Iterator[Malformed]:
    wrong = _wrong_graph
    graph = _seed_graph()
    graph.inputs[1].name = "x1"
    yield wrong("two inputs of one name", graph, "NAME_DUPLICATE", "graph.inputs[1].name")

    for name, reason in (("", "NAME_MISSING"), ("2x", "NAME_INVALID"), ("x" * 129, "NAME_TOO_LONG")):
        graph = _seed_graph()
        graph.inputs[1].name = name
        yield wrong(f"an input called {name[:5]!r}", graph, reason, "graph.inputs[1].name")

    graph = _seed_graph()
    graph.outputs.append(graph.outputs[0])
    yield wrong("two outputs of one name", graph, "NAME_DUPLICATE", "graph.outputs[1].name")

    graph = _seed_graph()
    graph.outputs[0].value = 5
    yield wrong("an output beyond the values", graph, "OUTPUT_OUT_OF_RANGE", "graph.outputs[0].value")

    graph = _seed_graph()
    del graph.outputs[:]
    yield wrong("no output", graph, "OUTPUT_MISSING", "graph.outputs")


def _wrong_formulas() -> Iterator[Malformed]:
    texts = (
        ("nothing", "", "FORMULA_EMPTY", "line 1"),
        ("an operator too many", "3*(x1 * * x2)", "FORMULA_SYNTAX", "line 1, column 9"),
        ("a bracket left open", "3*(x1 + x2", "FORMULA_SYNTAX", "line 1, column 3"),
        ("an unknown function", "sine(x1)", "FORMULA_UNKNOWN_FUNCTION", "line 1, column 1"),
        ("a function of too many", "exp(x1, x2)", "FORMULA_ARITY", "line 1, column 1"),
        ("Python", "__import__('os').system('true')", "FORMULA_SYNTAX", "line 1"),
        ("a template", "{{ 7*7 }}", "FORMULA_SYNTAX", "line 1, column 1"),
        ("another script's digits", "x1 + \u0663", "FORMULA_SYNTAX", "line 1, column 6"),
        ("a name given twice", "a = x1\na = x2\na", "FORMULA_REASSIGNED", "line 2, column 1"),
    )
    for name, text, reason, place in texts:
        body = _request(Function(formula=Formula(text=text))).SerializeToString()
        yield Malformed(f"a formula of {name}", body, reason, place)
    long = _request(Function(formula=Formula(text="x" + "+x" * 100_000))).SerializeToString()
    yield Malformed(
        "a formula of 200,001 characters", long, "FORMULA_TOO_LONG", "maximum_formula_characters", EXHAUSTED
    )
    deep = _request(Function(formula=Formula(text="(" * 30_000 + "x" + ")" * 30_000))).SerializeToString()
    yield Malformed("a formula nested 30,000 deep", deep, "FORMULA_TOO_DEEP", "maximum_formula_depth", EXHAUSTED)


def _wrong_wishes() -> Iterator[Malformed]:
    request = good_request()
    request.wants[0].derivative = 77  # type: ignore[assignment]
    yield Malformed("a derivative that is none", request.SerializeToString(), "DERIVATIVE_UNKNOWN", "wants[0]")

    request = good_request()
    request.wants[0].ClearField("derivative")
    yield Malformed("a derivative not said", request.SerializeToString(), "DERIVATIVE_UNKNOWN", "wants[0]")

    request = good_request()
    del request.wants[:]
    yield Malformed("no wish", request.SerializeToString(), "WANT_MISSING", "wants")

    request = good_request()
    request.wants[1].outputs.append("price")
    yield Malformed("an output there is not", request.SerializeToString(), "OUTPUT_UNKNOWN", "wants[1]")

    request = good_request()
    request.wants[1].with_respect_to.append("x9")
    yield Malformed("an input there is not", request.SerializeToString(), "INPUT_UNKNOWN", "wants[1]")

    request = good_request()
    request.function.digest = b"\x07" * 32
    yield Malformed("a digest nobody sent", request.SerializeToString(), "DIGEST_UNKNOWN", "digest", NOT_FOUND)

    request = good_request()
    request.function.digest = b"\x07" * 31
    yield Malformed("a digest of 31 bytes", request.SerializeToString(), "DIGEST_INVALID", "function.digest")


def _wrong_points() -> Iterator[Malformed]:
    def wrong(name: str, points: Points, reason: str, place: str) -> Malformed:
        request = good_request()
        request.points.CopyFrom(points)
        return Malformed(name, request.SerializeToString(), reason, place)

    yield wrong("no points", Points(), "POINTS_MISSING", "points")
    two = Array(shape=[1, 2], values=[1.0, 2.0])
    yield wrong("two columns for three inputs", Points(matrix=two), "POINTS_SHAPE", "points.matrix")
    short = Array(shape=[1, 3], values=[1.0, 2.0])
    yield wrong("two numbers for shape [1, 3]", Points(matrix=short), "ARRAY_SIZE", "points.matrix")
    vast = Array(shape=[2**62, 2**62], values=[1.0])
    yield wrong("a shape of 2**124 elements", Points(matrix=vast), "ARRAY_SIZE", "points.matrix")
    both = Array(shape=[1, 3], values=[1.0, 2.0, 3.0], data=b"\0" * 24)
    yield wrong("numbers and bytes at once", Points(matrix=both), "ARRAY_AMBIGUOUS", "points.matrix")
    ragged = Array(shape=[1, 3], data=b"\0" * 23)
    yield wrong("23 bytes for three numbers", Points(matrix=ragged), "ARRAY_SIZE", "points.matrix")
    one = Array(shape=[1], values=[1.0])
    named = [InputValues(name=name, values=one) for name in ("x1", "x2", "x3")]
    yield wrong("an input missing", Points(inputs=named[:2]), "INPUT_MISSING", "'x3'")
    unknown = InputValues(name="x4", values=one)
    yield wrong("an input too many", Points(inputs=[*named, unknown]), "INPUT_UNKNOWN", "'x4'")
    yield wrong("an input twice", Points(inputs=[*named, named[0]]), "INPUT_DUPLICATE", "'x1'")
    pair = InputValues(name="x3", values=Array(shape=[2], values=[1.0, 2.0]))
    yield wrong("one point and two", Points(inputs=[*named[:2], pair]), "POINTS_COUNT", "'x3'")
    yield wrong("a count that is not so", Points(count=7, inputs=named), "POINTS_COUNT", "points")
