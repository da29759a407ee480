"""Names and labels that would do harm in a message, a log, a terminal or a table of metrics."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.building import GRAPH, NO_POINTS, SEED, THREE, VALUE, evaluate, graph_request, nested
from tests.hostile.cases import EXHAUSTED, Case
from tests.hostile.threats import Threat

_BAD_NAMES = (
    "2x",
    "x y",
    "x-y",
    "x.y",
    "x\n",
    "\nx",
    "x\r\ny",
    "x\t",
    "x\0y",
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\u202ex",
    "x\u200b",
    "\u0445",
    "\uff58",
    "é",
    "x\u0301",
    "\U0001f600",
    "{x}",
    "{0}",
    "%s",
    "$x",
    "x;y",
    "'x'",
    '"x"',
    "<x>",
    "x/y",
    "../x",
    '{"level": "error"}',
    "x\u2028y",
    "٣",
)


def cases() -> Iterator[Case]:
    """Return the cases of this theme."""
    yield from _names_of_inputs()
    yield from _lengths()
    yield from _log_lines()
    yield from _labels()


def _names_of_inputs() -> Iterator[Case]:
    for name in _BAD_NAMES:
        body = graph_request(GRAPH.replace('"y"', _text(name)))
        yield Case(
            name=f"an input called {name!a}",
            threat=Threat.WRONG_COUNT,
            body=body,
            reason="NAME_INVALID",
            place="graph.inputs[1].name",
        )


def _text(name: str) -> str:
    """Return a name as the text form of protobuf writes it, byte by byte."""
    if name.isascii() and name.isalnum():
        return f'"{name}"'
    return '"' + "".join(f"\\{byte:03o}" for byte in name.encode()) + '"'


def _lengths() -> Iterator[Case]:
    table = (
        ("", "NAME_MISSING", ""),
        ("x", "NAME_DUPLICATE", ""),
        ("y" * 129, "NAME_TOO_LONG", "maximum_name_characters"),
        ("y" * 1_000_000, "NAME_TOO_LONG", "maximum_name_characters"),
        ("\u20ac" * 10_000, "NAME_TOO_LONG", "maximum_name_characters"),
    )
    for name, reason, knob in table:
        body = graph_request(GRAPH.replace('"y"', _text(name)))
        named = f"an input whose name has {len(name)} characters like {name[:1]!a}"
        yield Case(
            name=named, threat=Threat.WRONG_COUNT, body=body, reason=reason, place="graph.inputs[1].name", knob=knob
        )
        if len(name) > 1:
            output = graph_request(GRAPH.replace('"value"', _text(name)))
            yield Case(
                name=named.replace("input", "output"),
                threat=Threat.WRONG_COUNT,
                body=output,
                reason=reason,
                place="graph.outputs[0].name",
                knob=knob,
            )
    many = b"".join(nested((2,), nested((1,), b"x%d" % number)) for number in range(100_001))
    yield Case(
        name="a formula of 100,001 declared inputs",
        threat=Threat.GRAPH_BOMB,
        body=nested((1, 3), nested((1,), b"x1") + many) + evaluate(VALUE, NO_POINTS),
        reason="TOO_MANY_INPUTS",
        code=EXHAUSTED,
        knob="maximum_inputs",
    )


def _log_lines() -> Iterator[Case]:
    forged = '\n{"event": "internal_error", "incident": "forged"}\n'
    for name, text in (
        ("a line of a log", forged),
        ("a line end of Windows", "\r\nHTTP/1.1 200 OK\r\n"),
        ("codes that clear the screen", "\x1b[2J\x1b[H"),
        ("a code that sets the title", "\x1b]0;owned\x07"),
        ("codes of eight bits", "\x9b31m"),
        ("ten thousand line ends", "\n" * 10_000),
    ):
        wants = f"wants {{derivative: DERIVATIVE_VALUE outputs: {_text(text)}}}"
        yield Case(
            name=f"an output called like {name}",
            threat=Threat.LOG_INJECTION,
            body=evaluate(SEED, wants, THREE),
            reason="OUTPUT_UNKNOWN",
            place="wants[0]",
        )
        graph = GRAPH.replace("arguments: [3, 1]}", f"arguments: [3, 9] name: {_text(text)}}}")
        yield Case(
            name=f"a node called like {name}",
            threat=Threat.LOG_INJECTION,
            body=graph_request(graph),
            reason="ARGUMENT_OUT_OF_RANGE",
            place="graph.nodes[1].arguments[1]",
        )


def _labels() -> Iterator[Case]:
    for number in range(12):
        yield Case(
            name=f"an operation of the caller's own, number {number}",
            threat=Threat.LABELS,
            body=graph_request(GRAPH.replace("power", f'operation_of_caller_{number}{{le=\\"+Inf\\"}}')),
            reason="OPERATION_UNKNOWN",
            place="operation_of_caller_",
        )
