"""Formulas by people who mean harm, or whose program went wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tests.hostile.building import GRADIENT, ONE, VALUE, evaluate, formula_request, register
from tests.hostile.cases import EXHAUSTED, Case
from tests.hostile.threats import Threat

INFINITY = math.inf


def cases() -> Iterator[Case]:
    """Return the cases of this theme."""
    yield from _foreign()
    yield from _look_alike_characters()
    yield from _deep()
    yield from _long()
    yield from _mistakes()
    yield from _arrays()


def _foreign() -> Iterator[Case]:
    syntax, unknown = "FORMULA_SYNTAX", "FORMULA_UNKNOWN_FUNCTION"
    table = (
        ("__import__('os').system('true')", syntax),
        ("__import__(os)", unknown),
        ("().__class__.__bases__[0].__subclasses__()", syntax),
        ("x.__class__", syntax),
        ("eval(x)", unknown),
        ("exec(x)", unknown),
        ("open(x)", unknown),
        ("getattr(x, x)", unknown),
        ("compile(x)", unknown),
        ("globals()", unknown),
        ("import os", syntax),
        ("from os import path", syntax),
        ("lambda: 0", syntax),
        ("[x for x in x]", syntax),
        ("{x: x}", syntax),
        ("x if x else x", syntax),
        ("x := 3", syntax),
        ("x; del x", syntax),
        ('f"{x}"', syntax),
        ("print(x)", unknown),
        ("np.load(x)", unknown),
        ("np.ctypeslib.as_array(x)", syntax),
        ("{{7*7}}", syntax),
        ("{% for i in x %}", syntax),
        ("${jndi:ldap://example.com/a}", syntax),
        ("<%= 7 * 7 %>", syntax),
        ("#{7*7}", "FORMULA_EMPTY"),
        ("'; DROP TABLE functions; --", syntax),
        ("1 OR 1=1", syntax),
        ("x UNION SELECT x", syntax),
        ("$(touch /tmp/gradmill)", syntax),
        ("`id`", syntax),
        ("x | cat /etc/passwd", syntax),
        ("x && x", syntax),
        ("%s%s%n%x", syntax),
        ("{0.__init__.__globals__}", syntax),
        ("<script>alert(1)</script>", syntax),
        ("../../etc/passwd", syntax),
        ("file:///etc/passwd", syntax),
        ("x\r\nSet-Cookie: a=b", syntax),
        ('{"$gt": ""}', syntax),
        ("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>", syntax),
        ("\\x41\\u0041", syntax),
        ("x.T.T.__init__", syntax),
    )
    for text, reason in table:
        name = f"the formula {text}"
        yield Case(name=name, threat=Threat.FOREIGN_TEXT, body=formula_request(text), reason=reason, place="column")
    names = "__class__ + __builtins__ + __import__"
    points = "points {matrix {shape: [1, 3] values: [1, 2, 3]}}"
    yield Case(
        name="Python's special names as inputs",
        threat=Threat.FOREIGN_TEXT,
        body=formula_request(names, VALUE, points),
        answer=(6.0,),
    )


def _look_alike_characters() -> Iterator[Case]:
    table = (
        ("a null character", "x\x00 + 1"),
        ("a text that begins with null", "\x00"),
        ("a text that turns the terminal red", "x\x1b[31m"),
        ("a bell", "x\x07"),
        ("a backspace", "x\b"),
        ("an override from right to left", "\u202ex + 1"),
        ("an isolate from left to right", "x \u2066+ 1"),
        ("a space without width", "x\u200b + 1"),
        ("a byte order mark", "\ufeffx"),
        ("a space that does not break", "x\u00a0+ 1"),
        ("a line separator", "x\u2028+ 1"),
        ("a full-width digit", "\uff11 + x"),
        ("an Arabic digit", "\u0661 + x"),
        ("a Devanagari digit", "x + \u0967"),
        ("a superscript digit", "x\u00b2"),
        ("a vulgar fraction", "x + \u00bd"),
        ("a Cyrillic letter", "\u0445 + 1"),
        ("a full-width letter", "\uff58 + 1"),
        ("a letter with a combining accent", "e\u0301 + x"),
        ("a mathematical letter", "\U0001d465 + 1"),
        ("a minus sign that is none", "x \u2212 1"),
        ("a multiplication sign", "x \u00d7 2"),
        ("a division slash", "x \u2215 2"),
        ("an emoji", "x + \U0001f600"),
        ("the last character there is", "x + \U0010ffff"),
        ("a private character", "x + \ue000"),
        ("a form feed", "x\f+ 1"),
        ("a vertical tab", "x\v+ 1"),
        ("a replacement character", "\ufffd"),
    )
    for name, text in table:
        body = formula_request(text)
        named = f"a formula with {name}"
        yield Case(name=named, threat=Threat.FOREIGN_TEXT, body=body, reason="FORMULA_SYNTAX", place="line 1, column")


def _deep() -> Iterator[Case]:
    yield Case(
        name="9,000 parentheses",
        threat=Threat.DEEP_TEXT,
        body=formula_request("(" * 9_000 + "x" + ")" * 9_000),
        answer=(2.0,),
    )
    yield Case(
        name="20,000 calls in one another",
        threat=Threat.DEEP_TEXT,
        body=formula_request("sin(" * 20_000 + "x" + ")" * 20_000),
        reason="FORMULA_TOO_LONG",
        code=EXHAUSTED,
        knob="maximum_formula_characters",
    )
    yield Case(
        name="5,000 calls in one another",
        threat=Threat.DEEP_TEXT,
        body=formula_request("abs(" * 5_000 + "x" + ")" * 5_000),
        answer=(2.0,),
    )
    for opening, closing in (("(", ")"), ("[", "]"), ("x[", "]"), ("e(", ")")):
        for count, knob, reason in (
            (20_000, "maximum_formula_depth", "FORMULA_TOO_DEEP"),
            (1_000_000, "maximum_formula_characters", "FORMULA_TOO_LONG"),
        ):
            yield Case(
                name=f"{count} times {opening} and {closing}",
                threat=Threat.DEEP_TEXT,
                body=formula_request(opening * count + "x" + closing * count),
                reason=reason,
                code=EXHAUSTED,
                knob=knob,
            )
    yield Case(
        name="50,000 minus signs",
        threat=Threat.DEEP_TEXT,
        body=formula_request("-" * 50_000 + "x"),
        answer=(2.0,),
    )
    yield Case(
        name="a million minus signs",
        threat=Threat.DEEP_TEXT,
        body=formula_request("-" * 1_000_000 + "x"),
        reason="FORMULA_TOO_LONG",
        code=EXHAUSTED,
        knob="maximum_formula_characters",
    )
    yield Case(
        name="a tower of 20,000 powers",
        threat=Threat.DEEP_TEXT,
        body=formula_request("x" + "^1" * 20_000),
        answer=(2.0,),
    )
    yield Case(
        name="20,000 comparisons in a row",
        threat=Threat.DEEP_TEXT,
        body=formula_request("x" + "<x" * 20_000),
        answer=(0.0,),
    )
    for text in ("(" * 5_000, ")" * 5_000, "[" * 5_000, "(" * 5_000 + "]" * 5_000, "x" + "[0" * 5_000):
        yield Case(
            name=f"brackets {text[:3]}...{text[-1]} that do not match",
            threat=Threat.DEEP_TEXT,
            body=formula_request(text),
            reason="FORMULA_SYNTAX",
            place="line 1, column",
        )


def _long() -> Iterator[Case]:
    yield Case(
        name="4 MB of text",
        threat=Threat.LONG_TEXT,
        body=formula_request("x" * 4_000_000),
        reason="FORMULA_TOO_LONG",
        code=EXHAUSTED,
        place="4000000",
        knob="maximum_formula_characters",
    )
    yield Case(
        name="a sum of a million terms",
        threat=Threat.LONG_TEXT,
        body=formula_request("x" + "+x" * 999_999),
        reason="FORMULA_TOO_LONG",
        code=EXHAUSTED,
        knob="maximum_formula_characters",
    )
    yield Case(
        name="a sum of 20,000 terms",
        threat=Threat.LONG_TEXT,
        body=formula_request("x" + "+x" * 19_999),
        answer=(40_000.0,),
    )
    yield Case(
        name="99,999 blanks",
        threat=Threat.LONG_TEXT,
        body=formula_request(" " * 99_999 + "x"),
        answer=(2.0,),
    )
    yield Case(
        name="99,000 characters of comment",
        threat=Threat.LONG_TEXT,
        body=formula_request("#" * 99_000 + "\nx"),
        answer=(2.0,),
    )
    yield Case(
        name="90,000 empty lines",
        threat=Threat.LONG_TEXT,
        body=formula_request("a=x\n" + "\n" * 90_000 + "a"),
        answer=(2.0,),
    )
    yield Case(
        name="a name of 90,000 characters",
        threat=Threat.LONG_TEXT,
        body=formula_request("y" * 90_000),
        reason="NAME_TOO_LONG",
        code=EXHAUSTED,
        knob="maximum_name_characters",
    )
    yield Case(
        name="a function whose name has 90,000 characters",
        threat=Threat.LONG_TEXT,
        body=formula_request("y" * 90_000 + "(x)"),
        reason="FORMULA_UNKNOWN_FUNCTION",
        place="line 1, column 1",
    )
    yield Case(
        name="100,001 characters of three bytes each",
        threat=Threat.LONG_TEXT,
        body=formula_request("\u20ac" * 100_001),
        reason="FORMULA_TOO_LONG",
        code=EXHAUSTED,
        place="100001",
        knob="maximum_formula_characters",
    )
    yield Case(
        name="a long text to be kept",
        threat=Threat.LONG_TEXT,
        method="RegisterFunction",
        body=register(f'function {{formula {{text: "{"x" * 100_001}"}}}}'),
        reason="FORMULA_TOO_LONG",
        code=EXHAUSTED,
        knob="maximum_formula_characters",
    )


def _mistakes() -> Iterator[Case]:
    count, name = Threat.WRONG_COUNT, Threat.UNKNOWN_NAME
    table = (
        ("", "FORMULA_EMPTY", "line 1", count),
        ("   \n\t  # nothing", "FORMULA_EMPTY", "line 1", count),
        ("x +", "FORMULA_SYNTAX", "line 1", count),
        ("x x", "FORMULA_SYNTAX", "line 1, column 3", count),
        ("x ** ** x", "FORMULA_SYNTAX", "line 1, column 6", count),
        ("x = ", "FORMULA_SYNTAX", "line 1", count),
        ("= x", "FORMULA_SYNTAX", "line 1, column 1", count),
        ("return", "FORMULA_NO_OUTPUT", "line 1", count),
        ("return x; x", "FORMULA_SYNTAX", "line 1", count),
        ("exp()", "FORMULA_ARITY", "line 1, column 1", count),
        ("exp(x, x)", "FORMULA_ARITY", "line 1, column 1", count),
        ("where(x)", "FORMULA_ARITY", "line 1, column 1", count),
        ("exp", "FORMULA_FUNCTION_NOT_CALLED", "line 1, column 1", name),
        ("expp(x)", "FORMULA_UNKNOWN_FUNCTION", "exp", name),
        ("sine(x)", "FORMULA_UNKNOWN_FUNCTION", "sin", name),
        ("a = b\nb = x\na", "FORMULA_USED_BEFORE_ASSIGNED", "line 1, column 5", Threat.BAD_REFERENCE),
        ("a = a\na", "FORMULA_USED_BEFORE_ASSIGNED", "line 1, column 5", Threat.BAD_REFERENCE),
        ("a = x\na = x\na", "FORMULA_REASSIGNED", "line 2, column 1", count),
        ("x\nx", "FORMULA_VALUE_UNUSED", "line 1", count),
        ("a = x\nreturn a, a", "FORMULA_OUTPUT", "line 2", count),
        ("return 1", "FORMULA_OUTPUT", "line 1", count),
    )
    for text, reason, place, threat in table:
        yield Case(
            name=f"the mistaken formula {text!r}",
            threat=threat,
            body=formula_request(text),
            reason=reason,
            place=place,
        )
    declared = (
        ('inputs {name: "x"} inputs {name: "x"}', "NAME_DUPLICATE", "inputs[1].name", count),
        ('inputs {name: ""}', "NAME_MISSING", "inputs[0].name", count),
        ('inputs {name: "2x"}', "NAME_INVALID", "inputs[0].name", count),
        ('inputs {name: "exp"}', "FORMULA_INPUT", "'exp'", count),
        ('inputs {name: "y"}', "FORMULA_UNKNOWN_NAME", "line 1, column 1", name),
        ('inputs {name: "x" shape: 0}', "SHAPE_INVALID", "inputs[0].shape", Threat.BAD_SHAPE),
        ('inputs {name: "x" shape: 18446744073709551615}', "SHAPE_TOO_LARGE", "maximum_elements", Threat.BAD_SHAPE),
        ('inputs {name: "x" element_type: 9}', "ELEMENT_TYPE_UNKNOWN", "inputs[0].element_type", name),
    )
    for text, reason, place, threat in declared:
        body = evaluate(f'function {{formula {{text: "x" {text}}}}}', VALUE, ONE)
        yield Case(name=f"the formula x of {text}", threat=threat, body=body, reason=reason, place=place)


def _arrays() -> Iterator[Case]:
    vector = 'inputs {name: "x" shape: 3} inputs {name: "y" shape: [2, 2]}'
    points = "points {matrix {shape: [1, 7] values: [1, 2, 3, 4, 5, 6, 7]}}"
    table = (
        ("x + y", "FORMULA_SHAPE", Threat.BAD_SHAPE),
        ("x @ y", "FORMULA_SHAPE", Threat.BAD_SHAPE),
        ("reshape(x, (2, 2))", "FORMULA_SHAPE", Threat.BAD_SHAPE),
        ("reshape(x, (-1, -1))", "FORMULA_SHAPE", Threat.BAD_SHAPE),
        ("zeros((99999, 99999))", "SHAPE_TOO_LARGE", Threat.MEMORY_BOMB),
        ("eye(100000)", "SHAPE_TOO_LARGE", Threat.MEMORY_BOMB),
        ("arange(1e300)", "SHAPE_TOO_LARGE", Threat.MEMORY_BOMB),
        ("linspace(0, 1, 99999999999)", "SHAPE_TOO_LARGE", Threat.MEMORY_BOMB),
        ("repeat(x, 99999999)", "SHAPE_TOO_LARGE", Threat.MEMORY_BOMB),
        ("tile(x, (9999999, 9999999))", "SHAPE_TOO_LARGE", Threat.MEMORY_BOMB),
        ("outer(zeros(1000000), x)", "SHAPE_TOO_LARGE", Threat.MEMORY_BOMB),
        ("broadcast_to(x, (1000000000, 3))", "SHAPE_TOO_LARGE", Threat.MEMORY_BOMB),
        ("x[3]", "FORMULA_INDEX", Threat.BAD_REFERENCE),
        ("x[-4]", "FORMULA_INDEX", Threat.BAD_REFERENCE),
        ("x[4294967296]", "FORMULA_INDEX", Threat.BAD_REFERENCE),
        ("x[18446744073709551616]", "FORMULA_INDEX", Threat.BAD_REFERENCE),
        ("x[0.5]", "FORMULA_INDEX", Threat.BAD_REFERENCE),
        ("x[x]", "FORMULA_INDEX", Threat.BAD_REFERENCE),
        ("x[0, 0]", "FORMULA_INDEX", Threat.BAD_REFERENCE),
        ("sum(x, axis=7)", "FORMULA_SHAPE", Threat.BAD_SHAPE),
        ("sum(x, axis=-9223372036854775808)", "FORMULA_ARGUMENT", Threat.BAD_SHAPE),
        ("x" + "[None]" * 40, "RANK_TOO_LARGE", Threat.BAD_SHAPE),
        ("einsum('ijk,jkl->i', x, y)", "FORMULA_SHAPE", Threat.BAD_SHAPE),
    )
    for text, reason, threat in table:
        body = evaluate(f'function {{formula {{text: "{text}" {vector}}}}}', VALUE, points)
        code = EXHAUSTED if reason in {"SHAPE_TOO_LARGE", "RANK_TOO_LARGE"} else "INVALID_ARGUMENT"
        name = f"the formula of arrays {text[:40]}"
        yield Case(name=name, threat=threat, body=body, reason=reason, code=code, place="line 1, column")
    body = evaluate(f'function {{formula {{text: "x" {vector}}}}}', GRADIENT, points)
    yield Case(
        name="a gradient of an output that is a vector",
        threat=Threat.BAD_SHAPE,
        body=body,
        reason="OUTPUT_NOT_SCALAR",
        place="(3,)",
    )
