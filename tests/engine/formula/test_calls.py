"""Calls of functions of arrays: arguments by position and by name, as which operations, and what they may not be."""

from __future__ import annotations

from typing import Any

import pytest
from gradmill_server.engine.ir import Input

from tests.engine.formula.reading import digest_of, read, refusal

INPUTS = [Input("x", (3, 4)), Input("y", (4,)), Input("a", (3, 3)), Input("s")]

NORMAL_FORMS: list[tuple[str, list[tuple[str, dict[str, Any]]]]] = [
    ("sum(x)", [("sum", {"axes": (0, 1)})]),
    ("sum(s)", [("sum", {"axes": ()})]),
    ("sum(x, axis=(-1, 0), keepdims=True)", [("sum", {"axes": (0, 1), "keepdims": 1})]),
    ("mean(x, axis=1, keepdims=False)", [("mean", {"axes": (1,)})]),
    ("max(x)", [("amax", {"axes": (0, 1)})]),
    ("max(x, y)", [("maximum", {})]),
    ("min(x, axis=0)", [("amin", {"axes": (0,)})]),
    ("var(x, ddof=0)", [("var", {"axes": (0, 1)})]),
    ("std(x, axis=0, ddof=1)", [("std", {"axes": (0,), "ddof": 1})]),
    ("argmax(x)", [("argmax", {})]),
    ("argmin(x, axis=-1)", [("argmin", {"axis": 1})]),
    ("softmax(x)", [("softmax", {"axis": 1})]),
    ("cumsum(y)", [("cumsum", {"axis": 0})]),
    ("cumprod(x)", [("reshape", {"shape": (12,)}), ("cumprod", {"axis": 0})]),
    ("diff(x, n=2)", [("diff", {"axis": 1}), ("diff", {"axis": 1})]),
    ("sort(x)", [("sort", {"axis": 1})]),
    ("reshape(x, (3, -1))", []),
    ("reshape(x, (2, -1))", [("reshape", {"shape": (2, 6)})]),
    ("ravel(y)", []),
    ("y.T", []),
    ("transpose(x, (0, 1))", []),
    ("transpose(x)", [("transpose", {"axes": (1, 0)})]),
    ("broadcast_to(x, (3, 4))", []),
    ("broadcast_to(y, (3, 4))", [("broadcast_to", {"shape": (3, 4)})]),
    ("concatenate([y])", []),
    ("concatenate([x, x], axis=-1)", [("concatenate", {"axis": 1})]),
    ("stack([y, y], axis=-1)", [("stack", {"axis": 1})]),
    ("[y, y]", [("stack", {"axis": 0})]),
    ("flip(x)", [("flip", {"axes": (0, 1)})]),
    ("repeat(y, 2)", [("repeat", {"repeats": 2, "axis": 0})]),
    ("tile(x, 2)", [("tile", {"repeats": (1, 2)})]),
    ("tile(y, (2, 1))", [("tile", {"repeats": (2, 1)})]),
    ("take(x, [[0, -1]], axis=-1)", [("take", {"axis": 1, "index_shape": (1, 2), "indices": (0, 3)})]),
    ("take(y, -1)", [("take", {"axis": 0, "index_shape": (), "indices": (3,)})]),
    ("diag(y)", [("diag", {})]),
    ("diag(y, k=-1)", [("diag", {"offset": -1})]),
    ("einsum('ij, j', x, y)", [("einsum", {"subscripts": "ij,j->i"})]),
    ("einsum('ba', x)", [("einsum", {"subscripts": "ba->ab"})]),
    ("einsum('Ab,b->A', x, y)", [("einsum", {"subscripts": "Ab,b->A"})]),
    ("x @ y", [("matmul", {})]),
    ("np.linalg.inv(a)", [("inverse", {})]),
    ("solve_triangular(a, a, lower=False)", [("solve_triangular", {})]),
    (
        "solve_triangular(a, a, lower=True, unit_diagonal=True)",
        [("solve_triangular", {"lower": 1, "unit_diagonal": 1})],
    ),
    ("array([1, 2])", []),
]


@pytest.mark.parametrize(("text", "expected"), NORMAL_FORMS, ids=[text for text, _ in NORMAL_FORMS])
def test_normal_form(text: str, expected: list[tuple[str, dict[str, Any]]]) -> None:
    """A call becomes its operations with axes counted from 0, and without what would change nothing."""
    nodes = read(text, INPUTS).nodes[len(INPUTS) :]
    assert [(node.operation, dict(node.parameters)) for node in nodes if not node.is_constant] == expected


def test_spellings_of_one_call() -> None:
    """However a call is written, equal ones are one function."""
    for texts in (
        ["sum(x, axis=0)", "sum(x, 0)", "np.sum(x, axis=(0,))", "sum(x, axis=[-2], keepdims=False)", "sum(x, 0,)"],
        ["max(x, axis=1)", "amax(x, -1)", "numpy.max(x, axis=(1,))"],
        ["norm(y)", "np.linalg.norm(y)", "numpy.linalg.norm(y, axis=0)", "norm(y, axis=None)"],
        ["concatenate([y, y])", "concatenate((y, y), 0)", "np.concatenate([y, y], axis=-1)"],
        ["einsum('ij,j', x, y)", 'einsum("ij,j->i", x, y)', "np.einsum(' ij , j -> i', x, y)"],
        ["inv(a)", "inverse(a)", "np.linalg.inv(a)"],
        ["matmul(x, y)", "x @ y", "np.matmul(x, y)"],
        ["stack([y, y])", "[y, y]", "array([y, y])"],
    ):
        assert len({digest_of(text, INPUTS) for text in texts}) == 1


COUNTS = [
    ("sum()", "sum(x, axis=None, *, keepdims=False) is missing its argument 'x'"),
    ("sum(axis=0)", "is missing its argument 'x'"),
    ("sum(x, 0, 1)", "sum(x, axis=None, *, keepdims=False) takes 2 arguments by position, 3 given"),
    ("reshape(x)", "reshape(x, shape) is missing its argument 'shape'"),
    ("reshape(x, 3, -1)", "reshape(x, shape) takes 2 arguments by position, 3 given"),
    ("np.linalg.norm(x, 2)", "np.linalg.norm(x, *, axis=None, keepdims=False) takes 1 argument by position, 2 given"),
    ("einsum('ij')", "einsum(subscripts, *operands) is missing its argument 'operands'"),
    ("einsum()", "is missing its argument 'subscripts'"),
    ("dot(x)", "dot(x, y) is missing its argument 'y'"),
]


@pytest.mark.parametrize(("text", "message"), COUNTS, ids=[text for text, _ in COUNTS])
def test_wrong_number_of_arguments(text: str, message: str) -> None:
    """A call with too few or too many arguments is shown what the function takes."""
    error = refusal(text, INPUTS)
    assert (error.reason, error.metadata["column"]) == ("FORMULA_ARITY", "1")
    assert error.metadata["name"] == text[: text.index("(")]
    assert message in error.message


MISTAKES = [
    ("sum(x, axes=0)", 8, "sum has no argument 'axes'; it is sum(x, axis=None, *, keepdims=False)"),
    ("sum(x=1)", 5, "sum takes 'x' by position"),
    ("sum(x, axis=0, axis=1)", 16, "sum is given its argument 'axis' twice"),
    ("sum(x, 0, axis=1)", 11, "sum is given its argument 'axis' twice"),
    ("exp(x, axis=0)", 8, "exp has no argument 'axis'; its arguments are given by position"),
    ("clip(x, min=0)", 9, "clip has no argument 'min'; its arguments are given by position"),
    ("max(x, y, axis=0)", 11, "max has no argument 'axis'"),
    ("sum(x, axis=s)", 13, "axis of sum must be a whole number written out, such as 2 or -1; 's' is a name"),
    ("sum(x, axis=0.5)", 13, "axis of sum must be a whole number, found 0.5"),
    ("sum(x, axis=(0, s))", 17, "axis of sum must be a whole number written out"),
    ("sum(x, axis=0 + 0)", 13, "axis of sum must be a whole number written out"),
    ("sum(x, axis='0')", 13, "axis of sum must be a whole number written out, such as 2 or -1, not a text"),
    ("diff(x, axis=None)", 14, "axis of diff must be a whole number written out, such as 2 or -1; 'None' is a name"),
    ("sum(x, keepdims=1)", 17, "keepdims of sum must be True or False"),
    ("sum(x, keepdims=None)", 17, "keepdims of sum must be True or False"),
    ("sum((y, y))", 5, "sum takes no list in parentheses here; to make an array, write [a, b]"),
    ("exp((x, y))", 5, "exp takes no list in parentheses here"),
    ("exp('x')", 5, "exp takes no text here; only the subscripts of einsum are one"),
    ("concatenate(x)", 13, "concatenate takes a list of arrays, as in concatenate([a, b])"),
    ("stack(())", 7, "stack takes a list of arrays, as in stack([a, b])"),
    ("stack([x], axis=None)", 17, "axis of stack must be a whole number written out"),
    ("solve_triangular(a, a, trans=2)", 30, "transposed of solve_triangular must be True or False"),
    ("einsum(x, x)", 8, "subscripts of einsum must be a quoted text, such as 'ij,j->i'"),
    ("einsum('i...', x)", 8, "the subscripts of einsum are letters, commas and at most one '->', as in 'ij,j->i'"),
    ("einsum('ij,j', x)", 8, "einsum has subscripts for 2 arrays, 1 given"),
    ("einsum('ij,j,j', x, y, y)", 18, "einsum takes one array or two, 3 given; nest them"),
    ("reshape(x, (s, 4))", 13, "shape of reshape must be a whole number written out"),
    ("repeat(x, 0)", 11, "repeat repeats once or more often, not 0 times"),
    ("tile(x, (2, 0))", 9, "tile repeats once or more often along each axis, not (2, 0) times"),
    ("diff(y, 4)", 9, "diff takes differences up to 3 times along an axis of extent 4, not 4 times"),
    (
        "diff(arange(1000), 101)",
        20,
        "diff takes differences up to 100 times along an axis of extent 1000, not 101 times",
    ),
    ("diff(y, n=-1)", 11, "along an axis of extent 4, not -1 times"),
    ("take(x, ())", 9, "indices of take is empty"),
    ("full(3, s)", 9, "fill_value of full must be a number written out; 's' is a name"),
    ("arange(0, 3, 0)", 1, "arange cannot count from 0 to 3 in steps of 0"),
    ("arange(3, 0)", 1, "arange from 3 to 0 in steps of 1 is empty"),
    ("arange(inf)", 1, "arange cannot count from 0 to inf"),
    ("scipy.special.softmax(x)", 1, "give scipy.special.softmax an axis"),
]


@pytest.mark.parametrize(("text", "column", "message"), MISTAKES, ids=[text for text, *_ in MISTAKES])
def test_mistake(text: str, column: int, message: str) -> None:
    """An argument that is not what the function takes is refused at its own place, with what would be."""
    error = refusal(text, INPUTS)
    head, _, caret = error.message.split("\n")
    assert (error.reason, error.metadata) == ("FORMULA_ARGUMENT", {"line": "1", "column": str(column)})
    assert message in head
    assert caret == " " * (column + 1) + "^"


SHAPE_MISTAKES = [
    ("sum(x, axis=2)", 13, "sum has no axis 2 of an array of 2 dimensions"),
    ("sum(y, axis=(0, 1))", 13, "sum has no axis 1 of an array of 1 dimension"),
    ("sum(x, axis=(0, -2))", 13, "sum has axis -2 twice"),
    ("softmax(s)", 1, "softmax has no axis -1 of an array of 0 dimensions"),
    ("concatenate([s, s])", 1, "concatenate has no axis 0 of an array of 0 dimensions"),
    ("concatenate([s])", 1, "concatenate has no axis 0"),
    ("stack([x, x], axis=3)", 20, "stack has no axis 3 of an array of 3 dimensions"),
    ("transpose(x, (0, 0))", 14, "transpose has axis 0 twice"),
    ("transpose(x, 1)", 14, "transpose needs all 2 axes of shape (3, 4) in order, not (1,)"),
    ("swapaxes(x, 0, 2)", 16, "swapaxes has no axis 2"),
    ("moveaxis(x, 2, 0)", 13, "moveaxis has no axis 2"),
    ("squeeze(x, axis=0)", 17, "squeeze cannot leave out axis 0 of shape (3, 4): its extent is not 1"),
    ("expand_dims(y, (0, 0))", 16, "expand_dims has axis 0 twice"),
    ("expand_dims(y, 2)", 16, "expand_dims has no axis 2 of an array of 2 dimensions"),
    ("reshape(x, (-1, -1))", 12, "reshape: every extent is at least 1, or one of them -1, not (-1, -1)"),
    ("reshape(x, (0, 12))", 12, "reshape: every extent is at least 1, or one of them -1, not (0, 12)"),
    ("broadcast_to(y, (-1, 4))", 17, "broadcast_to: every extent is at least 1, not (-1, 4)"),
    ("zeros((2, 0))", 7, "zeros: every extent is at least 1, not (2, 0)"),
    ("eye(0)", 5, "eye: every extent is at least 1, not (0, 0)"),
    ("linspace(0, 1, 0)", 16, "linspace: every extent is at least 1, not (0,)"),
]


@pytest.mark.parametrize(("text", "column", "message"), SHAPE_MISTAKES, ids=[text for text, *_ in SHAPE_MISTAKES])
def test_axis_or_shape_that_does_not_fit(text: str, column: int, message: str) -> None:
    """An axis or a shape that the array cannot have is refused at the argument, with the function's name."""
    error = refusal(text, INPUTS)
    assert (error.reason, error.metadata["column"]) == ("FORMULA_SHAPE", str(column))
    assert message in error.message


def test_argument_out_of_order() -> None:
    """An argument by position after one by name is refused where it stands, as in Python."""
    error = refusal("sum(axis=0, x)", INPUTS)
    assert (error.reason, error.metadata["column"]) == ("FORMULA_SYNTAX", "13")


@pytest.mark.parametrize(
    "text", ["nothing(x, axis=0)", "nothing((x, y))", "nothing('ij', x)", "norms(x, keepdims=True)"]
)
def test_unknown_function(text: str) -> None:
    """Whatever its arguments, a function that there is not is refused as unknown."""
    error = refusal(text, INPUTS)
    assert (error.reason, error.metadata["column"]) == ("FORMULA_UNKNOWN_FUNCTION", "1")
    assert "did you mean 'norm'" in refusal("norms(x)", INPUTS).message


def test_operands_from_left_to_right() -> None:
    """Arrays are lowered from left to right, whatever is written out between them."""
    nodes = read("concatenate([y*3, [5, s]], axis=0) + reshape(7, (1,))", INPUTS).nodes
    assert [float(node.constant_array()) for node in nodes if node.is_constant] == [3.0, 5.0, 7.0]


@pytest.mark.parametrize("name", ["sum", "mean", "var", "trace", "zeros"])
def test_name_of_a_function_of_arrays_is_free(name: str) -> None:
    """A value may have the name of a function of arrays that is not called: formulas of old mean what they did."""
    assert [entry.name for entry in read(f"(q - {name})**2").inputs] == ["q", name]
    assert [entry.name for entry in read(f"q + {name}", [Input(name), Input("q")]).inputs] == [name, "q"]
    assert digest_of(f"{name} = q*q; {name} + 1") == digest_of("q*q + 1")


@pytest.mark.parametrize("text", ["mean(q) - mean", "mean = q; mean(mean)", "mean = mean(q)"])
def test_name_is_not_value_and_function_at_once(text: str) -> None:
    """A name that has a value is not called as well; NumPy's prefix tells the function."""
    error = refusal(text)
    assert error.reason == "FORMULA_UNKNOWN_FUNCTION"
    assert "'mean' is a value here, not a function; to multiply, write '*', or else np.mean(...)" in error.message
    read(text.replace("mean(", "np.mean("))


@pytest.mark.parametrize("text", ["x + sum", "np.sum", "s*np.linalg.norm"])
def test_function_that_is_not_called(text: str) -> None:
    """Where inputs are declared, a function's name alone is no value."""
    error = refusal(text, INPUTS)
    assert error.reason == "FORMULA_FUNCTION_NOT_CALLED"
    assert "is a function: write" in error.message


@pytest.mark.parametrize("word", ["None", "True", "False"])
def test_settings_are_no_values(word: str) -> None:
    """The words that arguments are set to stand for no number, and name nothing."""
    error = refusal(f"s + {word}", INPUTS)
    assert (error.reason, error.metadata["column"]) == ("FORMULA_SYNTAX", "5")
    assert f"'{word}' is no value" in error.message
    assert refusal(f"{word} = s").reason == "FORMULA_REASSIGNED"
    assert refusal("1", [Input(word)]).reason == "FORMULA_INPUT"
