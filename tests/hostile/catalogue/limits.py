"""One request beyond each limit, sent to a server whose limits are small, and those just within them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gradmill_server.serving.settings import LIMITS, TABLE

from tests.hostile.building import GRADIENT, ONE, THREE, TWO, VALUE, evaluate, formula_request, graph_request
from tests.hostile.cases import EXHAUSTED, INVALID, Case
from tests.hostile.threats import Threat

SMALL: Mapping[str, int] = {
    "maximum_wants": 3,
    "maximum_nodes": 40,
    "maximum_inputs": 6,
    "maximum_outputs": 4,
    "maximum_elements_per_value": 64,
    "maximum_constant_elements": 80,
    "maximum_rank": 3,
    "maximum_name_characters": 12,
    "maximum_formula_characters": 300,
    "maximum_formula_depth": 9,
    "maximum_functions": 5,
    "maximum_loop_depth": 2,
    "maximum_loop_bytes": 64,
    "maximum_program_nodes": 50,
    "maximum_pattern_bytes": 8,
    "maximum_points": 20,
    "maximum_directions": 4,
    "maximum_result_bytes": 1_024,
    "maximum_scratch_bytes": 4_096,
}
"""Every limit of the server that the cases of this theme go to."""

ALL = frozenset(row.name for row in TABLE if row.group == LIMITS)
"""Every limit that a server has, by the name of its setting."""


def cases() -> Iterator[Case]:
    """Return the cases of this theme."""
    yield from _sizes()
    yield from _formulas()
    yield from _work()
    yield from _within()


def _beyond(
    knob: str, body: bytes, reason: str, threat: Threat, *, name: str = "", code: str = EXHAUSTED, place: str = ""
) -> Case:
    return Case(
        name=f"beyond {knob}{name}",
        threat=threat,
        body=body,
        reason=reason,
        code=code,
        place=place,
        knob=knob,
        small=True,
    )


def _chain(nodes: int, rest: str = "") -> str:
    listed = " ".join(f"nodes {{arguments: {index}}}" for index in range(nodes))
    return f'inputs {{name: "x"}} operation_names: "sin" {listed} outputs {{name: "value" value: {nodes}}} {rest}'


def _sizes() -> Iterator[Case]:
    bomb, shape = Threat.GRAPH_BOMB, Threat.BAD_SHAPE
    inputs = " ".join(f'inputs {{name: "x{number}"}}' for number in range(7))
    outputs = " ".join(f'outputs {{name: "y{number}"}}' for number in range(5))
    vector = 'inputs {name: "x" shape: 65} outputs {name: "value"}'
    constants = " ".join(f"constants {{shape: 41 values: [{', '.join(['1'] * 41)}]}}" for _ in range(2))
    one = 'inputs {name: "x"} outputs {name: "value"}'
    yield _beyond("maximum_nodes", graph_request(_chain(40), VALUE, ONE), "GRAPH_TOO_LARGE", bomb, place="41")
    yield _beyond("maximum_inputs", graph_request(f"{inputs} outputs {{}}"), "TOO_MANY_INPUTS", bomb, place="7")
    yield _beyond("maximum_outputs", graph_request(f"{one} {outputs}"), "TOO_MANY_OUTPUTS", bomb, place="6")
    yield _beyond(
        "maximum_elements_per_value", graph_request(vector), "SHAPE_TOO_LARGE", shape, code=INVALID, place="65"
    )
    yield _beyond(
        "maximum_constant_elements", graph_request(f"{one} {constants}"), "CONSTANTS_TOO_LARGE", bomb, place="82"
    )
    lists = f'parameters {{name: "axes" integers {{values: [{", ".join(["1"] * 65)}]}}}}'
    listed = (
        f'inputs {{name: "x"}} operation_names: "sum" nodes {{arguments: 0 {lists}}} outputs {{name: "v" value: 1}}'
    )
    yield _beyond(
        "maximum_elements_per_value",
        graph_request(listed),
        "LIST_TOO_LONG",
        bomb,
        name=", a list of whole numbers",
        place="65",
    )
    rank = one.replace('"x"', '"x" shape: [1, 1, 1, 1]')
    yield _beyond("maximum_rank", graph_request(rank), "RANK_TOO_LARGE", shape, code=INVALID, place="4 dimensions")
    long = one.replace('"x"', f'"{"x" * 13}"')
    yield _beyond(
        "maximum_name_characters", graph_request(long), "NAME_TOO_LONG", Threat.WRONG_COUNT, code=INVALID, place="13"
    )
    bodies = " ".join('functions {inputs {name: "x"} outputs {name: "v"}}' for _ in range(6))
    yield _beyond("maximum_functions", graph_request(f"{one} {bodies}"), "TOO_MANY_FUNCTIONS", bomb, place="6")
    yield _beyond(
        "maximum_wants", formula_request("x", VALUE * 4, ONE), "TOO_MANY_WANTS", Threat.WRONG_COUNT, place="4"
    )


def _formulas() -> Iterator[Case]:
    vector = 'inputs {name: "x" shape: 65}'
    declared = " ".join(f'inputs {{name: "x{number}"}}' for number in range(7))
    table = (
        ("maximum_formula_characters", "x" + "+x" * 150, "FORMULA_TOO_LONG", Threat.LONG_TEXT, "301"),
        ("maximum_formula_depth", "(" * 10 + "x" + ")" * 10, "FORMULA_TOO_DEEP", Threat.DEEP_TEXT, "10"),
        ("maximum_name_characters", "x" * 13, "NAME_TOO_LONG", Threat.WRONG_COUNT, "13"),
        (
            "maximum_nodes",
            "x" + "".join(f"+x*{factor}" for factor in range(2, 16)),
            "GRAPH_TOO_LARGE",
            Threat.LONG_TEXT,
            "",
        ),
        ("maximum_inputs", "a+b+c+d+e1+f+g", "TOO_MANY_INPUTS", Threat.GRAPH_BOMB, "7"),
        (
            "maximum_outputs",
            "; ".join(f"a{number} = x" for number in range(5)) + "; return a0, a1, a2, a3, a4",
            "TOO_MANY_OUTPUTS",
            Threat.GRAPH_BOMB,
            "5",
        ),
        ("maximum_rank", "sum(x*zeros((1, 1, 1, 1)))", "RANK_TOO_LARGE", Threat.BAD_SHAPE, "4"),
        ("maximum_elements_per_value", "sum(x*ones(65))", "SHAPE_TOO_LARGE", Threat.MEMORY_BOMB, "65"),
        (
            "maximum_constant_elements",
            "sum(x*ones(50))+sum(x*zeros(31))",
            "CONSTANTS_TOO_LARGE",
            Threat.MEMORY_BOMB,
            "81",
        ),
    )
    for knob, text, reason, threat, place in table:
        yield _beyond(knob, formula_request(text), reason, threat, name=" in a formula", place=place)
    body = evaluate(f'function {{formula {{text: "sum(x)" {vector}}}}}', VALUE, ONE)
    yield _beyond(
        "maximum_elements_per_value",
        body,
        "SHAPE_TOO_LARGE",
        Threat.MEMORY_BOMB,
        name=" in a formula's input",
        code=INVALID,
    )
    body = evaluate(f'function {{formula {{text: "x1" {declared}}}}}', VALUE, ONE)
    yield _beyond(
        "maximum_inputs", body, "TOO_MANY_INPUTS", Threat.GRAPH_BOMB, name=" among a formula's declared ones", place="7"
    )


def _work() -> Iterator[Case]:
    bomb = Threat.MEMORY_BOMB
    rows = ", ".join(["1"] * 21)
    points = f"points {{matrix {{shape: [21, 1] values: [{rows}]}}}}"
    yield _beyond("maximum_points", formula_request("x", VALUE, points), "TOO_MANY_POINTS", bomb, place="21")
    yield _beyond(
        "maximum_directions",
        formula_request(
            "x",
            f"wants {{derivative: DERIVATIVE_JVP directions {{matrix {{shape: [5, 1, 1] values: [{rows[:13]}]}}}}}}",
            ONE,
        ),
        "TOO_MANY_DIRECTIONS",
        bomb,
        place="5",
    )
    vector = 'inputs {name: "x" shape: 8}'
    eight = f"points {{matrix {{shape: [3, 8] values: [{', '.join(['1'] * 24)}]}}}}"
    one = eight.replace("3, 8", "1, 8").replace(", 1" * 16, "")
    hessian = "wants {derivative: DERIVATIVE_HESSIAN}"
    sparse = "wants {derivative: DERIVATIVE_SPARSE_HESSIAN}"
    power = f'function {{formula {{text: "sum(x)**3" {vector}}}}}'
    yield _beyond("maximum_result_bytes", evaluate(power, hessian, eight), "RESULT_TOO_LARGE", bomb)
    yield _beyond("maximum_pattern_bytes", evaluate(power, sparse, one), "PATTERN_TOO_LARGE", bomb)
    deep = "sin(" * 7 + "sum(x*x)" + ")" * 7
    yield _beyond(
        "maximum_program_nodes",
        evaluate(f'function {{formula {{text: "{deep}" {vector}}}}}', hessian, one),
        "PROGRAM_TOO_LARGE",
        Threat.COMPILE_BOMB,
    )
    product = "+".join(f"sum(sin(x + {number}))" for number in range(6))
    yield _beyond(
        "maximum_scratch_bytes",
        evaluate(
            f'function {{formula {{text: "{product}" {vector.replace("8", "64")}}}}}',
            GRADIENT,
            one.replace("8", "64").replace("values: [1", "values: [1" + ", 1" * 56),
        ),
        "SCRATCH_TOO_LARGE",
        bomb,
    )


def _within() -> Iterator[Case]:
    table = (
        ("nodes", graph_request(_chain(30).replace("sin", "abs"), VALUE, ONE), (2.0,)),
        ("depth", formula_request("(" * 9 + "x" + ")" * 9), (2.0,)),
        ("names", formula_request("x" * 12), (2.0,)),
        ("wishes", formula_request("x", VALUE * 3, ONE), (2.0, 2.0, 2.0)),
        (
            "points",
            formula_request("x", VALUE, f"points {{matrix {{shape: [20, 1] values: [{', '.join(['3'] * 20)}]}}}}"),
            (3.0,) * 20,
        ),
        (
            "inputs",
            formula_request("a+b+c+d+e1+f", VALUE, "points {matrix {shape: [1, 6] values: [1, 2, 3, 4, 5, 6]}}"),
            (21.0,),
        ),
        ("two inputs", formula_request("x*y", VALUE, TWO), (6.0,)),
        ("three inputs", formula_request("x*y*z", VALUE, THREE), (24.0,)),
    )
    for name, body, answer in table:
        yield Case(
            name=f"just within the limits: {name}", threat=Threat.GRAPH_BOMB, body=body, answer=answer, small=True
        )
