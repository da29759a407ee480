"""Loops: too many steps, too many of them in one another, and bodies that are none. The server's limits are small."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.building import GRADIENT, ONE, VALUE, graph_request
from tests.hostile.cases import EXHAUSTED, INVALID, Case
from tests.hostile.threats import Threat

_STEP = (
    'functions {inputs {name: "c" shape: 1} operation_names: "sin" nodes {arguments: 0} outputs {name: "v" value: 1}}'
)
_SUM = 'nodes {operation: 1 arguments: 1 parameters {name: "axes" integers {values: 0}}}'


def cases() -> Iterator[Case]:
    """Return the cases of this theme."""
    yield from _limits()
    yield from _parameters()
    yield from _bodies()
    yield Case(
        name="just within the limits: loops",
        threat=Threat.GRAPH_BOMB,
        body=graph_request(_loop(9, _STEP.replace("sin", "abs")), VALUE, ONE),
        answer=(2.0,),
        small=True,
    )


def _scan(function: int, steps: int) -> str:
    """Return a node that runs a body on value 0."""
    numbers = " ".join(
        f'parameters {{name: "{name}" integer: {value}}}'
        for name, value in (("steps", steps), ("carries", 1), ("sequences", 0), ("reverse", 0))
    )
    return f'nodes {{arguments: 0 parameters {{name: "function" function: {function}}} {numbers}}}'


def _loop(steps: int, bodies: str = _STEP, function: int = 0) -> str:
    """Return a graph whose only output is the last carry of a loop."""
    return (
        f'inputs {{name: "x" shape: 1}} operation_names: ["scan", "sum"] {_scan(function, steps)} {_SUM}'
        f' outputs {{name: "value" value: 2}} {bodies}'
    )


def _nesting(function: int) -> str:
    """Return a body that runs another body."""
    return (
        f'functions {{inputs {{name: "c" shape: 1}} operation_names: "scan" {_scan(function, 2)}'
        ' outputs {name: "v" value: 1}}'
    )


def _limits() -> Iterator[Case]:
    yield Case(
        name="beyond maximum_loop_depth",
        threat=Threat.GRAPH_BOMB,
        body=graph_request(_loop(2, f"{_STEP} {_nesting(0)} {_nesting(1)}", 2), VALUE, ONE),
        reason="LOOP_TOO_DEEP",
        code=INVALID,
        place="3 loops",
        knob="maximum_loop_depth",
        small=True,
    )
    yield Case(
        name="beyond maximum_loop_bytes",
        threat=Threat.MEMORY_BOMB,
        body=graph_request(_loop(1_000_000_000), GRADIENT, ONE),
        reason="LOOP_TOO_LARGE",
        code=EXHAUSTED,
        knob="maximum_loop_bytes",
        small=True,
    )


def _case(name: str, graph: str, reason: str, place: str, threat: Threat) -> Case:
    body = graph_request(graph, VALUE, ONE)
    return Case(name=f"a loop with {name}", threat=threat, body=body, reason=reason, place=place, small=True)


def _parameters() -> Iterator[Case]:
    loop = _loop(2)
    carries = loop.replace('"carries" integer: 1', '"carries" integer: %d')
    table = (
        ("0 steps", _loop(0), "PARAMETER_INVALID", "'steps'"),
        ("-1 steps", _loop(-1), "PARAMETER_INVALID", "'steps'"),
        ("2**63 - 1 steps", _loop(2**63 - 1), "PARAMETER_INVALID", "'steps'"),
        ("no steps", loop.replace('parameters {name: "steps" integer: 2}', ""), "PARAMETER_MISSING", "'steps'"),
        ("two carries of one", carries % 2, "PARAMETER_INVALID", "'carries'"),
        ("-1 carries", carries % -1, "PARAMETER_INVALID", "'carries'"),
        ("2**63 - 1 carries", carries % (2**63 - 1), "PARAMETER_INVALID", "'carries'"),
        (
            "a direction of 2",
            loop.replace('"reverse" integer: 0', '"reverse" integer: 2'),
            "PARAMETER_INVALID",
            "0 nor 1",
        ),
    )
    for name, graph, reason, place in table:
        yield _case(name, graph, reason, place, Threat.WRONG_COUNT)


def _bodies() -> Iterator[Case]:
    loop = _loop(2)
    named = 'parameters {name: "function" function: 0}'
    wider = (
        'functions {inputs {name: "c" shape: 1} operation_names: "broadcast_to"'
        ' nodes {arguments: 0 parameters {name: "shape" integers {values: 2}}} outputs {name: "v" value: 1}}'
    )
    table = (
        ("a body that is not there", _loop(2, function=1), "FUNCTION_OUT_OF_RANGE", "there are 1"),
        ("body 2**32 - 1", _loop(2, function=2**32 - 1), "FUNCTION_OUT_OF_RANGE", "4294967295"),
        ("no body", loop.replace(named, ""), "PARAMETER_MISSING", "'function'"),
        ("a number for a body", loop.replace("function: 0}", "integer: 0}"), "PARAMETER_INVALID", "'function'"),
        ("a text for a body", loop.replace("function: 0}", 'text: "c"}'), "PARAMETER_INVALID", "'function'"),
        ("a carry that grows", _loop(2, wider), "SHAPE_MISMATCH", "carry 0"),
        (
            "a body with bodies",
            _loop(2, _STEP.replace("outputs", "functions {} outputs")),
            "FUNCTIONS_NESTED",
            "functions",
        ),
        ("a body that uses itself", _loop(2, _nesting(0)), "CYCLE", "function 0"),
        ("a body that uses the next one", _loop(2, f"{_nesting(1)} {_STEP}"), "FORWARD_REFERENCE", "function 1"),
        ("a body of nothing", _loop(2, "functions {}"), "OUTPUT_MISSING", "functions[0].outputs"),
        ("a body of no inputs", _loop(2, 'functions {outputs {name: "v"}}'), "OUTPUT_OUT_OF_RANGE", "functions[0]"),
    )
    for name, graph, reason, place in table:
        yield _case(name, graph, reason, place, Threat.BAD_REFERENCE)
