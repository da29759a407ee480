"""Wishes, directions, options and references to functions that do not exist or do not fit."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.building import GRADIENT, ONE, SEED, THREE, VALUE, evaluate, explain, register
from tests.hostile.cases import EXHAUSTED, NOT_FOUND, Case
from tests.hostile.threats import Threat

_KINDS_WITHOUT_DIRECTIONS = ("VALUE", "GRADIENT", "JACOBIAN", "HESSIAN", "HESSIAN_DIAGONAL", "SPARSE_HESSIAN")


def cases() -> Iterator[Case]:
    """Return the cases of this theme."""
    yield from _wishes()
    yield from _enumerations()
    yield from _directions()
    yield from _references()
    yield from _explanations()
    yield from _registrations()


def _wishes() -> Iterator[Case]:
    count, unknown = Threat.WRONG_COUNT, Threat.UNKNOWN_NAME
    table = (
        ("no wish", "", "WANT_MISSING", "wants", count),
        ("a wish of nothing", "wants {}", "DERIVATIVE_UNKNOWN", "wants[0].derivative", unknown),
        ("an output there is not", 'wants {derivative: 1 outputs: "price"}', "OUTPUT_UNKNOWN", "'price'", unknown),
        ("an output without a name", 'wants {derivative: 1 outputs: ""}', "OUTPUT_UNKNOWN", "''", unknown),
        ("an output of 9,000", f'wants {{derivative: 1 outputs: "{"v" * 9_000}"}}', "OUTPUT_UNKNOWN", "'vvv", unknown),
        ("an input there is not", 'wants {derivative: 2 with_respect_to: "x9"}', "INPUT_UNKNOWN", "'x9'", unknown),
        ("an input like HTML", 'wants {derivative: 2 with_respect_to: "<b>"}', "INPUT_UNKNOWN", "'<b>'", unknown),
        (
            "an output twice",
            'wants {derivative: 1 outputs: ["value", "value"]}',
            "NAME_DUPLICATE",
            "'value'",
            count,
        ),
        (
            "an input twice",
            'wants {derivative: 2 with_respect_to: ["x1", "x1"]}',
            "NAME_DUPLICATE",
            "'x1'",
            count,
        ),
        ("a value by an input", 'wants {derivative: 1 with_respect_to: "x1"}', "WANT_INVALID", "a value is not", count),
    )
    for name, wants, reason, place, threat in table:
        body = evaluate(SEED, wants, THREE)
        yield Case(name=f"wishes: {name}", threat=threat, body=body, reason=reason, place=place)
    yield Case(
        name="wishes: 65 of them",
        threat=Threat.WRONG_COUNT,
        body=evaluate(SEED, VALUE * 65, THREE),
        reason="TOO_MANY_WANTS",
        code=EXHAUSTED,
        place="65",
        knob="maximum_wants",
    )
    nothing = 'function {formula {text: "8^-1e9"}} points {count: 3}'
    yield Case(
        name="the sum of gradients by no inputs",
        threat=Threat.WRONG_COUNT,
        body=evaluate(nothing, GRADIENT, "reduction: REDUCTION_SUM"),
    )
    form = 'options {disabled_stable_forms: "nonsense"}'
    yield Case(
        name="a stable form there is not",
        threat=Threat.UNKNOWN_NAME,
        body=evaluate(SEED, VALUE, THREE, form),
        reason="STABLE_FORM_UNKNOWN",
        place="'nonsense'",
    )


def _enumerations() -> Iterator[Case]:
    for number in (11, 77, -1, 2147483647, -2147483648):
        for field, text, reason in (
            ("wants[0].derivative", f"wants {{derivative: {number}}}", "DERIVATIVE_UNKNOWN"),
            ("reduction", f"{VALUE} reduction: {number}", "REDUCTION_UNKNOWN"),
            ("encoding", f"{VALUE} encoding: {number}", "ENCODING_UNKNOWN"),
        ):
            yield Case(
                name=f"{field} {number}",
                threat=Threat.UNKNOWN_NAME,
                body=evaluate(SEED, text, THREE),
                reason=reason,
                place=f"no value {number}",
            )


def _directions() -> Iterator[Case]:
    def wish(kind: str, directions: str) -> str:
        return f"wants {{derivative: DERIVATIVE_{kind} {directions}}}"

    for kind in _KINDS_WITHOUT_DIRECTIONS:
        yield Case(
            name=f"directions for {kind}",
            threat=Threat.WRONG_COUNT,
            body=evaluate(SEED, wish(kind, "directions {matrix {shape: [1, 1, 3] values: [1, 0, 0]}}"), THREE),
            reason="DIRECTIONS_UNEXPECTED",
            place="wants[0].directions",
        )
    for kind in ("VJP", "JVP", "HVP"):
        yield Case(
            name=f"{kind} without directions",
            threat=Threat.WRONG_COUNT,
            body=evaluate(SEED, wish(kind, ""), THREE),
            reason="DIRECTIONS_MISSING",
            place="wants[0].directions",
        )
    named = 'arrays {name: "x1" array {shape: [1, 1] values: 1}}'
    table = (
        ("of nothing", "", "DIRECTIONS_MISSING", "neither"),
        ("in both forms", f"{named} matrix {{shape: [1, 1, 3] values: [1, 0, 0]}}", "DIRECTIONS_AMBIGUOUS", "both"),
        ("without a count", "matrix {values: 1}", "DIRECTIONS_COUNT", "no directions"),
        ("none of them", "matrix {shape: [0, 1, 3]}", "DIRECTIONS_COUNT", "no directions"),
        ("of two columns", "matrix {shape: [1, 1, 2] values: [1, 2]}", "DIRECTIONS_SHAPE", "(1, 1, 2)"),
        ("of two points", "matrix {shape: [1, 2, 3] values: [1, 2, 3, 4, 5, 6]}", "DIRECTIONS_SHAPE", "(1, 2, 3)"),
        ("of few numbers", "matrix {shape: [1, 1, 3] values: [1]}", "ARRAY_SIZE", "directions.matrix"),
        ("of 2**64 numbers", "matrix {shape: [1, 4294967296, 4294967296] values: 1}", "ARRAY_SIZE", "4294967296"),
        ("of an input unknown", named.replace("x1", "x9"), "INPUT_UNKNOWN", "'x9'"),
        ("of an input twice", f"{named} {named}", "NAME_DUPLICATE", "'x1'"),
        (
            "in different numbers",
            f'{named} arrays {{name: "x2" array {{shape: [2, 1] values: [1, 2]}}}}',
            "DIRECTIONS_COUNT",
            "2 directions",
        ),
        (
            "of element type 7",
            "matrix {element_type: 7 shape: [1, 1, 3] values: [1, 2, 3]}",
            "ELEMENT_TYPE_UNKNOWN",
            "7",
        ),
        (
            "of float32",
            "matrix {element_type: 2 shape: [1, 1, 3] values: [1, 2, 3]}",
            "ELEMENT_TYPE_MISMATCH",
            "float32",
        ),
        ("of NaN among them", "matrix {shape: [1, 1, 3] values: [1, 0, 0]}", "", ""),
    )
    for name, text, reason, place in table:
        yield Case(
            name=f"directions {name}",
            threat=Threat.BAD_SHAPE,
            body=evaluate(SEED, wish("JVP", f"directions {{{text}}}"), THREE),
            reason=reason,
            place=place,
            answer=() if reason else (12.0,),
        )
    yield Case(
        name="1,001 directions",
        threat=Threat.MEMORY_BOMB,
        body=evaluate(
            SEED, wish("JVP", f"directions {{matrix {{shape: [1001, 1, 3] values: [{', '.join('1' * 3003)}]}}}}"), THREE
        ),
        reason="TOO_MANY_DIRECTIONS",
        code=EXHAUSTED,
        place="1001",
        knob="maximum_directions",
    )
    yield Case(
        name="2**40 directions that are not there",
        threat=Threat.MEMORY_BOMB,
        body=evaluate(SEED, wish("JVP", "directions {matrix {shape: [1099511627776, 1, 3]}}"), THREE),
        reason="TOO_MANY_DIRECTIONS",
        code=EXHAUSTED,
        knob="maximum_directions",
    )


def _references() -> Iterator[Case]:
    for name, digest in (
        ("zeros", "\\000" * 32),
        ("ones", "\\377" * 32),
        ("a text", "functions/of/another/caller/0123"),
        ("a path", "../../../../../../../etc/passwd/"),
    ):
        yield Case(
            name=f"a digest of {name}",
            threat=Threat.FOREIGN_DIGEST,
            body=evaluate(f'function {{digest: "{digest}"}}', VALUE, THREE),
            reason="DIGEST_UNKNOWN",
            code=NOT_FOUND,
            place="is not on this server",
        )
    for length in (0, 1, 31, 33, 64, 100_000):
        yield Case(
            name=f"a digest of {length} bytes",
            threat=Threat.FOREIGN_DIGEST,
            body=evaluate(f'function {{digest: "{"a" * length}"}}', VALUE, THREE),
            reason="DIGEST_INVALID",
            place=f"has {length}",
        )
    for method, body in (
        ("Evaluate", evaluate("function {}", VALUE, THREE)),
        ("RegisterFunction", register("function {}")),
        ("Explain", explain("function {}", THREE)),
    ):
        yield Case(
            name=f"{method} of no function",
            threat=Threat.WRONG_COUNT,
            method=method,
            body=body,
            reason="FUNCTION_MISSING",
            place="function",
        )
    for method, body in (
        ("RegisterFunction", register('function {digest: "functions/of/another/caller/0123"}')),
        ("Explain", explain('function {digest: "functions/of/another/caller/0123"}', THREE)),
    ):
        yield Case(
            name=f"{method} of a digest guessed",
            threat=Threat.FOREIGN_DIGEST,
            method=method,
            body=body,
            reason="DIGEST_UNKNOWN",
            code=NOT_FOUND,
            place="is not on this server",
        )


def _explanations() -> Iterator[Case]:
    two = "points {matrix {shape: [2, 3] values: [1, 2, 3, 4, 5, 6]}}"
    table = (
        ("two points", (SEED, two), "POINTS_COUNT", "2 were given", Threat.WRONG_COUNT),
        ("no points", (SEED,), "POINTS_MISSING", "points", Threat.WRONG_COUNT),
        ("an unknown output", (SEED, THREE, 'output: "price"'), "OUTPUT_UNKNOWN", "'price'", Threat.UNKNOWN_NAME),
        (
            "one of two outputs",
            ('function {formula {text: "a = x\\nb = 2*x\\nreturn a, b"}}', ONE),
            "OUTPUT_AMBIGUOUS",
            "2 outputs",
            Threat.WRONG_COUNT,
        ),
        (
            "a vector",
            ('function {formula {text: "x" inputs {name: "x" shape: 3}}}', THREE),
            "OUTPUT_NOT_SCALAR",
            "(3,)",
            Threat.BAD_SHAPE,
        ),
    )
    for name, parts, reason, place, threat in table:
        body = explain(*parts)
        yield Case(
            name=f"an explanation of {name}", threat=threat, method="Explain", body=body, reason=reason, place=place
        )
    yield Case(
        name="an explanation of 1,001 values",
        threat=Threat.GRAPH_BOMB,
        method="Explain",
        body=explain(f'function {{formula {{text: "{"sin(" * 1_001}x{")" * 1_001}"}}}}', ONE),
        reason="EXPLANATION_TOO_LARGE",
        code=EXHAUSTED,
        place="1002",
    )
    yield Case(
        name="an explanation of arrays of a million elements",
        threat=Threat.MEMORY_BOMB,
        method="Explain",
        body=explain('function {formula {text: "sum(x*zeros(999999))"}}', ONE),
        reason="EXPLANATION_TOO_LARGE",
        code=EXHAUSTED,
        place="elements",
    )


def _registrations() -> Iterator[Case]:
    table = (
        (f"{SEED} wants {{}}", "DERIVATIVE_UNKNOWN", "wants[0]"),
        (f"{SEED} wants {{derivative: 99}}", "DERIVATIVE_UNKNOWN", "99"),
        (f'{SEED} wants {{derivative: 2 outputs: "price"}}', "OUTPUT_UNKNOWN", "'price'"),
        (
            f"{SEED} wants {{derivative: DERIVATIVE_VALUE directions {{matrix {{shape: [1, 3]}}}}}}",
            "DIRECTIONS_UNEXPECTED",
            "wants[0].directions",
        ),
        ('function {formula {text: "sine(x)"}}', "FORMULA_UNKNOWN_FUNCTION", "line 1, column 1"),
        ('function {graph {outputs {name: "value"}}}', "OUTPUT_OUT_OF_RANGE", "there are 0 values"),
    )
    for position, (text, reason, place) in enumerate(table):
        yield Case(
            name=f"a registration that is wrong, {position}",
            threat=Threat.UNKNOWN_NAME,
            method="RegisterFunction",
            body=register(text),
            reason=reason,
            place=place,
        )
    yield Case(
        name="a registration with 65 wishes",
        threat=Threat.WRONG_COUNT,
        method="RegisterFunction",
        body=register(SEED, GRADIENT * 65),
        reason="TOO_MANY_WANTS",
        code=EXHAUSTED,
        place="65",
        knob="maximum_wants",
    )
