"""Points, shapes and arrays that do not fit the function, each other, or any memory."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.building import GRAPH, SEED, TWO, TWO_INPUTS, VALUE, evaluate, graph_request
from tests.hostile.cases import EXHAUSTED, UNIMPLEMENTED, Case
from tests.hostile.threats import Threat


def cases() -> Iterator[Case]:
    """Return the cases of this theme."""
    yield from _matrices()
    yield from _named()
    yield from _input_shapes()
    yield from _constants()
    yield from _element_types()
    yield from _rules_of_shapes()


def _seed(points: str) -> bytes:
    return evaluate(SEED, VALUE, points)


def _matrices() -> Iterator[Case]:
    table = (
        ("no points", "", "POINTS_MISSING", "points"),
        ("points of nothing", "points {}", "POINTS_MISSING", "points"),
        ("two columns for three inputs", "shape: [1, 2] values: [1, 2]", "POINTS_SHAPE", "(1, 2)"),
        ("four columns for three inputs", "shape: [1, 4] values: [1, 2, 3, 4]", "POINTS_SHAPE", "(1, 4)"),
        ("a row instead of a matrix", "shape: 3 values: [1, 2, 3]", "POINTS_SHAPE", "(3,)"),
        ("a matrix in a matrix", "shape: [1, 1, 3] values: [1, 2, 3]", "POINTS_SHAPE", "(1, 1, 3)"),
        ("a number instead of a matrix", "values: 1", "POINTS_SHAPE", "()"),
        ("no number for one", "", "ARRAY_SIZE", "matrix"),
        ("two numbers for shape [1, 3]", "shape: [1, 3] values: [1, 2]", "ARRAY_SIZE", "matrix"),
        ("four numbers for shape [1, 3]", "shape: [1, 3] values: [1, 2, 3, 4]", "ARRAY_SIZE", "matrix"),
        ("shape [2**32, 2**32]", "shape: [4294967296, 4294967296] values: 1", "ARRAY_SIZE", "4294967296"),
        ("shape [2**62, 4]", "shape: [4611686018427387904, 4] values: 1", "ARRAY_SIZE", "4611686018427387904"),
        ("shape [2**64 - 1, 3]", "shape: [18446744073709551615, 3] values: 1", "ARRAY_SIZE", "18446744073709551615"),
        ("shape [2**64 - 1, 0]", "shape: [18446744073709551615, 0]", "ARRAY_SIZE", "18446744073709551615"),
        ("shape [0, 2**40]", "shape: [0, 1099511627776]", "POINTS_SHAPE", "1099511627776"),
        ("rank 40", f"shape: [{', '.join('1' * 40)}] values: 1", "RANK_TOO_LARGE", "40"),
        ("rank 10,000", f"shape: [{', '.join('1' * 10_000)}] values: 1", "RANK_TOO_LARGE", "10000"),
        ("numbers and bytes at once", 'shape: [1, 3] values: [1, 2, 3] data: "01234567"', "ARRAY_AMBIGUOUS", "both"),
        ("23 bytes for three numbers", f'shape: [1, 3] data: "{"0" * 23}"', "ARRAY_SIZE", "23"),
        ("25 bytes for three numbers", f'shape: [1, 3] data: "{"0" * 25}"', "ARRAY_SIZE", "25"),
    )
    for name, text, reason, place in table:
        points = text if name in {"no points", "points of nothing"} else f"points {{matrix {{{text}}}}}"
        threat = Threat.MEMORY_BOMB if "2**" in name else Threat.BAD_SHAPE
        yield Case(name=f"a matrix: {name}", threat=threat, body=_seed(points), reason=reason, place=place)
    count = "points {count: 7 matrix {shape: [1, 3] values: [1, 2, 3]}}"
    yield Case(
        name="seven points in one row",
        threat=Threat.WRONG_COUNT,
        body=_seed(count),
        reason="POINTS_COUNT",
        place="points.count",
    )


def _named() -> Iterator[Case]:
    def entry(name: str, values: str = "shape: 1 values: 1", rest: str = "") -> str:
        return f'inputs {{name: "{name}" values {{{values}}} {rest}}}'

    three = " ".join(entry(name) for name in ("x1", "x2", "x3"))
    two = " ".join(entry(name) for name in ("x1", "x2"))
    table = (
        ("an input missing", two, "INPUT_MISSING", "'x3'", Threat.WRONG_COUNT),
        ("an input too many", f"{three} {entry('x4')}", "INPUT_UNKNOWN", "'x4'", Threat.WRONG_COUNT),
        ("an input twice", f"{three} {entry('x1')}", "INPUT_DUPLICATE", "'x1'", Threat.WRONG_COUNT),
        ("an input without a name", f"{three} {entry('')}", "INPUT_UNKNOWN", "''", Threat.WRONG_COUNT),
        ("a name of 10,000", f"{two} {entry('x' * 10_000)}", "INPUT_UNKNOWN", "'xxx", Threat.WRONG_COUNT),
        ("one point and two", f"{two} {entry('x3', 'shape: 2 values: [1, 2]')}", "POINTS_COUNT", "'x3'", None),
        ("a count that is not so", f"count: 7 {three}", "POINTS_COUNT", "7", None),
        ("2**64 - 1 points", f"count: 18446744073709551615 {three}", "TOO_MANY_POINTS", "18446744073709551615", None),
        ("a matrix as well", f"{three} matrix {{shape: [1, 3] values: [1, 2, 3]}}", "POINTS_AMBIGUOUS", "both", None),
        ("no values", f"{two} {entry('x3', '')}", "ARRAY_SIZE", "inputs[2].values", None),
        ("values not said", f'{two} inputs {{name: "x3"}}', "ARRAY_SIZE", "inputs[2].values", None),
        (
            "a vector shared",
            f"{two} {entry('x3', 'shape: 3 values: [1, 2, 3]', 'shared: true')}",
            "POINTS_SHAPE",
            "x3",
            None,
        ),
    )
    for name, text, reason, place, threat in table:
        many = reason == "TOO_MANY_POINTS"
        yield Case(
            name=f"values for each input: {name}",
            threat=threat or (Threat.MEMORY_BOMB if many else Threat.BAD_SHAPE),
            body=_seed(f"points {{{text}}}"),
            reason=reason,
            place=place,
            code=EXHAUSTED if many else "INVALID_ARGUMENT",
            knob="maximum_points" if many else "",
        )
    shared = " ".join(f'inputs {{name: "x{number}" values {{values: 2}} shared: true}}' for number in (1, 2, 3))
    yield Case(
        name="ten million and one points without a number of their own",
        threat=Threat.MEMORY_BOMB,
        body=_seed(f"points {{count: 10000001 {shared}}}"),
        reason="TOO_MANY_POINTS",
        code=EXHAUSTED,
        place="10000001",
        knob="maximum_points",
    )


def _input_shapes() -> Iterator[Case]:
    table = (
        ("0", "SHAPE_INVALID", "extent below 1", ""),
        ("3, 0", "SHAPE_INVALID", "extent below 1", ""),
        ("1000001", "SHAPE_TOO_LARGE", "1000001", "maximum_elements_per_value"),
        ("4294967296, 4294967296", "SHAPE_TOO_LARGE", "18446744073709551616", "maximum_elements_per_value"),
        ("18446744073709551615", "SHAPE_TOO_LARGE", "18446744073709551615", "maximum_elements_per_value"),
        (", ".join("2" * 8), "POINTS_SHAPE", "", ""),
        (", ".join("1" * 9), "RANK_TOO_LARGE", "9 dimensions", "maximum_rank"),
        (", ".join("1" * 40), "RANK_TOO_LARGE", "40 dimensions", "maximum_rank"),
        (", ".join(["4294967296"] * 40), "RANK_TOO_LARGE", "40 dimensions", "maximum_rank"),
        (", ".join("1" * 5_000), "RANK_TOO_LARGE", "5000 dimensions", "maximum_rank"),
    )
    for shape, reason, place, knob in table:
        graph = GRAPH.replace('{name: "y"}', f'{{name: "y" shape: [{shape}]}}')
        name = f"an input of shape [{shape[:30]}], {len(shape)} characters"
        body = graph_request(graph)
        yield Case(name=name, threat=Threat.BAD_SHAPE, body=body, reason=reason, place=place, knob=knob)


def _constants() -> Iterator[Case]:
    table = (
        ("one element for three", "shape: 3 values: 2", "CONSTANT_SIZE", "needs 3 elements"),
        ("two elements for one", "values: [2, 3]", "CONSTANT_SIZE", "2 were sent"),
        ("no element for one", "", "CONSTANT_SIZE", "0 were sent"),
        ("shape [2**32, 2**32]", "shape: [4294967296, 4294967296] values: 2", "SHAPE_TOO_LARGE", "4294967296"),
        ("shape [2**64 - 1]", "shape: 18446744073709551615 values: 2", "SHAPE_TOO_LARGE", "18446744073709551615"),
        ("no extent", "shape: 0", "SHAPE_INVALID", "extent below 1"),
        ("rank 40", f"shape: [{', '.join('1' * 40)}] values: 2", "RANK_TOO_LARGE", "40 dimensions"),
        ("both forms", 'values: 2 data: "01234567"', "ARRAY_AMBIGUOUS", "both values and data"),
        ("seven bytes", 'data: "0123456"', "ARRAY_SIZE", "7 bytes"),
    )
    for name, text, reason, place in table:
        graph = GRAPH.replace("constants {values: 2}", f"constants {{{text}}}")
        body = graph_request(graph)
        yield Case(name=f"a constant: {name}", threat=Threat.BAD_SHAPE, body=body, reason=reason, place=place)


def _element_types() -> Iterator[Case]:
    table = (
        ('{name: "x" element_type: 3}', "ELEMENT_TYPE_UNKNOWN", "inputs[0].element_type"),
        ('{name: "x" element_type: 77}', "ELEMENT_TYPE_UNKNOWN", "77"),
        ('{name: "x" element_type: -1}', "ELEMENT_TYPE_UNKNOWN", "-1"),
        ('{name: "x" element_type: 2147483647}', "ELEMENT_TYPE_UNKNOWN", "2147483647"),
        ('{name: "x" element_type: ELEMENT_TYPE_FLOAT32}', "ELEMENT_TYPE_MIXED", "'y' is float64"),
    )
    for text, reason, place in table:
        body = graph_request(GRAPH.replace('{name: "x"}', text))
        yield Case(name=f"an input {text}", threat=Threat.UNKNOWN_NAME, body=body, reason=reason, place=place)
    constant = graph_request(GRAPH.replace("constants {values: 2}", "constants {values: 2 element_type: 9}"))
    yield Case(
        name="a constant of element type 9",
        threat=Threat.UNKNOWN_NAME,
        body=constant,
        reason="ELEMENT_TYPE_UNKNOWN",
        place="constants[0].element_type",
    )
    mixed = graph_request(
        GRAPH.replace("constants {values: 2}", "constants {values: 2 element_type: ELEMENT_TYPE_FLOAT32}")
    )
    yield Case(
        name="a constant of float32 among float64",
        threat=Threat.UNKNOWN_NAME,
        body=mixed,
        reason="ELEMENT_TYPE_MIXED",
        place="constants[0].element_type",
    )
    for number, reason in ((9, "ELEMENT_TYPE_UNKNOWN"), (2, "ELEMENT_TYPE_MISMATCH")):
        points = f"points {{matrix {{element_type: {number} shape: [1, 3] values: [1, 2, 3]}}}}"
        yield Case(
            name=f"points of element type {number}",
            threat=Threat.UNKNOWN_NAME,
            body=_seed(points),
            reason=reason,
            place="points.matrix.element_type",
        )
    yield Case(
        name="asking where a value that is not finite came from",
        threat=Threat.UNKNOWN_NAME,
        body=evaluate(SEED, VALUE, TWO, "options {locate_non_finite: true}"),
        reason="LOCATE_UNSUPPORTED",
        code=UNIMPLEMENTED,
        place="options.locate_non_finite",
    )


def _rules_of_shapes() -> Iterator[Case]:
    inputs = TWO_INPUTS.replace('"x"', '"x" shape: [2, 3]').replace('"y"', '"y" shape: [4]')
    points = "points {matrix {shape: [1, 10] values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}"
    shape, axes = (f'parameters {{name: "{name}" integers {{values: [%s]}}}}' for name in ("shape", "axes"))
    huge = 2**63 - 1
    table = (
        ("add", "[0, 1]", "", "SHAPE_MISMATCH", "(2, 3)"),
        ("matmul", "[0, 1]", "", "SHAPE_MISMATCH", "(4,)"),
        ("matmul", "[0, 0]", "", "SHAPE_MISMATCH", "(2, 3)"),
        ("reshape", "[0]", shape % 5, "SHAPE_MISMATCH", "(2, 3)"),
        ("reshape", "[0]", shape % -6, "PARAMETER_INVALID", "'shape'"),
        ("reshape", "[0]", shape % huge, "PARAMETER_INVALID", "'shape'"),
        ("reshape", "[0]", 'parameters {name: "shape" number: 6}', "PARAMETER_INVALID", "'shape'"),
        ("reshape", "[0]", 'parameters {name: "shape" text: "6"}', "PARAMETER_INVALID", "'shape'"),
        ("reshape", "[0]", "", "PARAMETER_MISSING", "'shape'"),
        ("reshape", "[0]", f"{shape % 6} {shape % 6}", "PARAMETER_DUPLICATE", "'shape'"),
        ("sum", "[0]", axes % 2, "PARAMETER_INVALID", "'axes'"),
        ("sum", "[0]", axes % "0, 0", "PARAMETER_INVALID", "'axes'"),
        ("sum", "[0]", axes % (-huge - 1), "PARAMETER_INVALID", "'axes'"),
        ("transpose", "[0]", axes % 0, "SHAPE_MISMATCH", "(2, 3)"),
        ("transpose", "[0]", axes % "1, 1", "SHAPE_MISMATCH", "(2, 3)"),
        ("concatenate", "[0, 1]", 'parameters {name: "axis" integer: 0}', "SHAPE_MISMATCH", "(2, 3)"),
        ("concatenate", "[0, 0]", 'parameters {name: "axis" integer: 4294967296}', "PARAMETER_INVALID", "'axis'"),
        ("broadcast_to", "[1]", shape % 3, "SHAPE_MISMATCH", "(4,)"),
        ("broadcast_to", "[1]", shape % f"{2**62}, 4", "PARAMETER_INVALID", "'shape'"),
    )
    for position, (operation, arguments, parameters, reason, place) in enumerate(table):
        graph = (
            f'{inputs} operation_names: "{operation}" nodes {{arguments: {arguments} {parameters}}}'
            ' outputs {name: "value" value: 2}'
        )
        body = graph_request(graph, VALUE, points)
        name = f"{operation} of {arguments} {parameters[11:80]} ({position})"
        yield Case(name=name, threat=Threat.BAD_SHAPE, body=body, reason=reason, place=place)
