"""Graphs that are wrong, too large, or large only when somebody writes them out."""

from __future__ import annotations

from collections.abc import Iterator

from gradmill.v1.gradient_service_pb2 import DERIVATIVE_GRADIENT, DERIVATIVE_VALUE, EvaluateRequest, Want
from gradmill.v1.graph_pb2 import Graph, Input, Node, Output

from tests.hostile.building import (
    GRAPH,
    OUTPUT,
    SUM_OF_SQUARE,
    TWO,
    TWO_INPUTS,
    VALUE,
    evaluate,
    graph_request,
    nested,
)
from tests.hostile.cases import EXHAUSTED, Case
from tests.hostile.threats import Threat


def cases() -> Iterator[Case]:
    """Return the cases of this theme."""
    yield from _references()
    yield from _operations()
    yield from _arities()
    yield from _outputs()
    yield from _bombs()
    yield from _many_mistakes()


def _nodes(*nodes: str, operations: str = '"power", "add"') -> str:
    """Return a graph like the usual one, but with these nodes."""
    listed = " ".join(f"nodes {{{node}}}" for node in nodes)
    return f"{TWO_INPUTS} constants {{values: 2}} operation_names: [{operations}] {listed} {OUTPUT}"


def _references() -> Iterator[Case]:
    first, second = "operation: 0 arguments: [0, 2]", "operation: 1 arguments: [3, 1]"
    table = (
        ("a node that is its own first argument", (f"{first[:-7]}[3, 2]", second), "CYCLE", "nodes[0].arguments[0]"),
        ("a node that is its own second argument", (f"{first[:-7]}[0, 3]", second), "CYCLE", "nodes[0].arguments[1]"),
        ("two nodes that need each other", (f"{first[:-7]}[4, 2]", second), "CYCLE", "nodes[0].arguments[0]"),
        (
            "three nodes in a ring",
            (f"{first[:-7]}[5, 2]", second, "operation: 1 arguments: [4, 4]"),
            "CYCLE",
            "nodes[0].arguments[0]",
        ),
        (
            "a node before what it needs",
            (f"{first[:-7]}[5, 2]", second, "operation: 1 arguments: [0, 1]"),
            "FORWARD_REFERENCE",
            "nodes[0].arguments[0]",
        ),
        ("the value after the last", (first, "operation: 1 arguments: [3, 5]"), "ARGUMENT_OUT_OF_RANGE", "there are 5"),
        ("value 99 of 5", (first, "operation: 1 arguments: [3, 99]"), "ARGUMENT_OUT_OF_RANGE", "value 99"),
        ("value 2**31", (first, "operation: 1 arguments: [3, 2147483648]"), "ARGUMENT_OUT_OF_RANGE", "2147483648"),
        ("value 2**32 - 1", (first, "operation: 1 arguments: [3, 4294967295]"), "ARGUMENT_OUT_OF_RANGE", "4294967295"),
        ("operation 2 of 2", (first, "operation: 2 arguments: [3, 1]"), "OPERATION_INDEX", "nodes[1].operation"),
        ("operation 2**32 - 1", (first, "operation: 4294967295 arguments: [3, 1]"), "OPERATION_INDEX", "4294967295"),
    )
    for name, nodes, reason, place in table:
        body = graph_request(_nodes(*nodes))
        yield Case(name=name, threat=Threat.BAD_REFERENCE, body=body, reason=reason, place=place)
    yield from _wide_references()


def _wide_references() -> Iterator[Case]:
    """Return arguments of more than 32 bits, of which protobuf keeps the lower 32, as its specification says."""
    graph = _nodes("operation: 0 arguments: [0, 2]")
    yield Case(
        name="an argument of 2**32 + 1",
        threat=Threat.BAD_REFERENCE,
        body=graph_request(graph) + nested((1, 2, 4), b"\x08\x01\x12\x06\x03\x81\x80\x80\x80\x10"),
        answer=(7.0,),
    )
    yield Case(
        name="an argument of -1",
        threat=Threat.BAD_REFERENCE,
        body=graph_request(graph) + nested((1, 2, 4), b"\x08\x01\x12\x0b\x03" + b"\xff" * 9 + b"\x01"),
        reason="ARGUMENT_OUT_OF_RANGE",
        place="4294967295",
    )


def _operations() -> Iterator[Case]:
    table = (
        ("sine", "did you mean 'sin'"),
        ("Add", "did you mean 'add'"),
        ("ADD", "unknown to this server"),
        ("multiplyy", "did you mean 'multiply'"),
        ("", "operation ''"),
        (" add", "did you mean 'add'"),
        ("add ", "did you mean 'add'"),
        ("add\\n", "operation 'add\\n'"),
        ("add\\0", "operation 'add\\x00'"),
        ("__import__", "operation '__import__'"),
        ("__class__", "operation '__class__'"),
        ("builder.emit", "operation 'builder.emit'"),
        ("../../etc/passwd", "operation '../../etc/passwd'"),
        ("strong_product", "unknown to this server"),
        ("input", "operation 'input'"),
        ("constant", "unknown to this server"),
        ("\\u202eadd", "'\\u202eadd'"),
        ("e" * 5_000, "'eeee"),
        ("\\U0001f600", "'\\U0001f600'"),
        ("%s%n", "operation '%s%n'"),
        ("{0.__class__}", "operation '{0.__class__}'"),
    )
    for name, place in table:
        body = graph_request(f"{TWO_INPUTS} {SUM_OF_SQUARE.replace('add', name)} {OUTPUT}")
        named = f"an operation called {name[:20]!r}"
        yield Case(name=named, threat=Threat.UNKNOWN_NAME, body=body, reason="OPERATION_UNKNOWN", place=place)
    body = graph_request(f'{GRAPH} operation_names: "add"')
    yield Case(
        name="an operation named twice",
        threat=Threat.WRONG_COUNT,
        body=body,
        reason="OPERATION_DUPLICATE",
        place="operation_names[2]",
    )


def _arities() -> Iterator[Case]:
    for count in (0, 1, 3, 1_000):
        arguments = ", ".join(["0"] * count)
        body = graph_request(_nodes("operation: 0 arguments: [0, 2]", f"operation: 1 arguments: [{arguments}]"))
        name, place = f"an addition of {count} values", f"{count} were given"
        yield Case(name=name, threat=Threat.WRONG_COUNT, body=body, reason="ARITY", place=place)
    parameters = (
        ('{name: "axis" integer: 1}', "PARAMETER_UNKNOWN", "'axis'"),
        ('{name: "" integer: 1}', "PARAMETER_UNKNOWN", "parameter ''"),
        ('{name: "axis"}', "PARAMETER_MISSING", "has no value"),
        ('{name: "axis" text: "\\033[2J"}', "PARAMETER_UNKNOWN", "'axis'"),
        ('{name: "function" function: 0}', "PARAMETER_UNKNOWN", "'function'"),
    )
    for text, reason, place in parameters:
        nodes = ("operation: 0 arguments: [0, 2]", f"operation: 1 arguments: [3, 1] parameters {text}")
        name = f"an addition with the parameter {text}"
        body = graph_request(_nodes(*nodes))
        yield Case(name=name, threat=Threat.WRONG_COUNT, body=body, reason=reason, place=place)


def _outputs() -> Iterator[Case]:
    inner = f"{TWO_INPUTS} {SUM_OF_SQUARE}"
    table = (
        ("no output", "", "OUTPUT_MISSING", "outputs"),
        ("an output beyond the values", 'outputs {name: "value" value: 5}', "OUTPUT_OUT_OF_RANGE", "there are 5"),
        ("an output 2**32 - 1", 'outputs {name: "value" value: 4294967295}', "OUTPUT_OUT_OF_RANGE", "4294967295"),
        ("two outputs of one name", f"{OUTPUT} {OUTPUT}", "NAME_DUPLICATE", "outputs[1].name"),
        ("an output without a name", "outputs {value: 4}", "NAME_MISSING", "outputs[0].name"),
    )
    for name, text, reason, place in table:
        body = graph_request(f"{inner} {text}")
        yield Case(name=name, threat=Threat.WRONG_COUNT, body=body, reason=reason, place=place)
    body = graph_request("")
    yield Case(
        name="a graph of nothing", threat=Threat.WRONG_COUNT, body=body, reason="OUTPUT_MISSING", place="graph.outputs"
    )


def _bombs() -> Iterator[Case]:
    yield Case(
        name="a value added to itself 1,000 times",
        threat=Threat.SHARING_BOMB,
        body=doubled(1_000),
        answer=(2.0**1_000, 2.0**1_000),
    )
    yield Case(
        name="a value multiplied by itself 60 times",
        threat=Threat.SHARING_BOMB,
        body=doubled(60, "multiply"),
        answer=(1.0, 2.0**60),
    )
    yield Case(
        name="a value added to itself 20,000 times",
        threat=Threat.SHARING_BOMB,
        body=doubled(20_000),
        answer=(float("inf"), float("inf")),
    )
    yield Case(
        name="1,500,001 values",
        threat=Threat.GRAPH_BOMB,
        body=nested((1, 2), b"\x22\x00" * 1_500_001) + evaluate(VALUE, TWO),
        reason="GRAPH_TOO_LARGE",
        code=EXHAUSTED,
        place="1500001",
        knob="maximum_nodes",
    )
    yield Case(
        name="100,001 inputs",
        threat=Threat.GRAPH_BOMB,
        body=graph_of(Graph(inputs=[Input()] * 100_001, outputs=[Output(name="value")])),
        reason="TOO_MANY_INPUTS",
        code=EXHAUSTED,
        place="100001",
        knob="maximum_inputs",
    )
    yield Case(
        name="1,001 outputs",
        threat=Threat.GRAPH_BOMB,
        body=graph_of(Graph(inputs=[Input(name="x")], outputs=[Output(name=f"value{i}") for i in range(1_001)])),
        reason="TOO_MANY_OUTPUTS",
        code=EXHAUSTED,
        place="1001",
        knob="maximum_outputs",
    )
    million = Node(operation=0, arguments=[0] * 1_000_000)
    yield Case(
        name="a node of a million arguments",
        threat=Threat.GRAPH_BOMB,
        body=graph_of(
            Graph(
                inputs=[Input(name="x")],
                operation_names=["exp"],
                nodes=[million],
                outputs=[Output(name="value", value=1)],
            )
        ),
        reason="ARITY",
        place="1000000 were given",
    )
    yield Case(
        name="20,001 bodies",
        threat=Threat.GRAPH_BOMB,
        body=graph_of(Graph(outputs=[Output(name="value")], functions=[Graph()] * 20_001)),
        reason="TOO_MANY_FUNCTIONS",
        code=EXHAUSTED,
        place="20001",
        knob="maximum_functions",
    )


def graph_of(graph: Graph) -> bytes:
    """Return a request for a graph's value and gradient at the point 1."""
    request = EvaluateRequest(wants=[Want(derivative=DERIVATIVE_VALUE), Want(derivative=DERIVATIVE_GRADIENT)])
    request.function.graph.CopyFrom(graph)
    request.points.matrix.shape.extend((1, 1))
    request.points.matrix.values.append(1.0)
    return request.SerializeToString()


def doubled(times: int, operation: str = "add") -> bytes:
    """Return a request for a value that is added to itself again and again."""
    graph = Graph(inputs=[Input(name="x")], operation_names=[operation], outputs=[Output(name="value", value=times)])
    graph.nodes.extend(Node(arguments=(index, index)) for index in range(times))
    return graph_of(graph)


def _many_mistakes() -> Iterator[Case]:
    names = ", ".join(f'"unknown{number}"' for number in range(500))
    yield Case(
        name="500 mistakes at once",
        threat=Threat.WRONG_COUNT,
        body=graph_request(f"{TWO_INPUTS} operation_names: [{names}] {OUTPUT}"),
        reason="OPERATION_UNKNOWN",
        place="(and 19 more)",
    )
