"""What stands in brackets behind a value: what it takes, by NumPy's rules, as which operations, and what it may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gradmill_server.engine.ir import Input

from tests.engine.formula.reading import compute, digest_of, read, refusal

INPUTS = [Input("x", (5, 4)), Input("t", (2, 3, 4)), Input("s")]
X, T = np.arange(20.0).reshape(5, 4), np.arange(24.0).reshape(2, 3, 4)
VALUES: dict[str, npt.ArrayLike] = {"x": X, "t": T, "s": 2.5}

CASES: list[tuple[str, Any]] = [
    ("x[0]", X[0]),
    ("x[-1]", X[-1]),
    ("x[+1]", X[1]),
    ("x[1:]", X[1:]),
    ("x[:-1]", X[:-1]),
    ("x[::2]", X[::2]),
    ("x[:]", X),
    ("x[::]", X),
    ("x[1:-1:2]", X[1:-1:2]),
    ("x[-3:99]", X[-3:99]),
    ("x[-99:2]", X[-99:2]),
    ("x[::-1]", X[::-1]),
    ("x[3:0:-2]", X[3:0:-2]),
    ("x[None:2:None]", X[:2]),
    ("x[2, ::-1]", X[2, ::-1]),
    ("x[(1), (-2)]", X[1, -2]),
    ("x[1, 2,]", X[1, 2]),
    ("x[..., 0]", X[..., 0]),
    ("x[0, ...]", X[0, ...]),
    ("x[...]", X),
    ("x[0, ..., 1]", X[0, ..., 1]),
    ("s[...]", np.float64(2.5)),
    ("s[None]", np.array([2.5])),
    ("s[newaxis, ..., None]", np.array([[2.5]])),
    ("x[None, :]", X[None]),
    ("x[np.newaxis]", X[None]),
    ("x[:, None, 1]", X[:, None, 1]),
    ("x[1, None]", X[1, None]),
    ("t[:, 1:, ::3]", T[:, 1:, ::3]),
    ("t[1, ..., -1]", T[1, ..., -1]),
    ("x[[0, 2, 1]]", X[[0, 2, 1]]),
    ("x[[-1, 0, 0]]", X[[-1, 0, 0]]),
    ("x[[[0, 1], [2, 3]]]", X[[[0, 1], [2, 3]]]),
    ("x[:, [2, 0]]", X[:, [2, 0]]),
    ("x[1:, [2, 0]]", X[1:, [2, 0]]),
    ("x[..., [2]]", X[..., [2]]),
    ("x[[4, 0], 1]", X[[4, 0], 1]),
    ("x[1, [3, 0]]", X[1, [3, 0]]),
    ("x[None, [4, 0], 1:]", X[None, [4, 0], 1:]),
    ("t[0, [1, 2], ::2]", T[0, [1, 2], ::2]),
    ("t[:, 2, [[3, 0], [1, 1]]]", T[:, 2, [[3, 0], [1, 1]]]),
    ("x[[0, 1, 4], [3, 2, 0]]", X[[0, 1, 4], [3, 2, 0]]),
    ("x[[[0], [4]], [1, 2, 3]]", X[[[0], [4]], [1, 2, 3]]),
    ("t[1:, [0, 2], [1, -1]]", T[1:, [0, 2], [1, -1]]),
    ("t[[0, 1], [0, 2], None, 1:]", T[[0, 1], [0, 2], None, 1:]),
    ("t[[0, 1], 1, [2, 3]]", T[[0, 1], 1, [2, 3]]),
    ("t[[0, 1], [2, 0], [2, 3]]", T[[0, 1], [2, 0], [2, 3]]),
    ("x[1:][0]", X[1]),
    ("x[1:][::2][-1][2]", X[3, 2]),
    ("(x + s)[1:, 0]", X[1:, 0] + 2.5),
    ("exp(x[:1])[0, 0]", np.exp(X[0, 0])),
    ("[1, 2, 3][1]", np.float64(2)),
    ("[s, 2*s][::-1]", np.array([5.0, 2.5])),
    ("-x[0]**2", -(X[0] ** 2)),
    ("2**x[0, 1:3]", 2 ** X[0, 1:3]),
    ("x.T[1][0]", X.T[1][0]),
    ("x[0].T", X[0]),
    ("x[\n  1,  # the second row\n  :2\n]", X[1, :2]),
    ("x [0] [1]", X[0, 1]),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_value(text: str, expected: Any) -> None:  # noqa: ANN401 - whatever NumPy's indexing gives
    """An index takes the elements that NumPy's takes, in the same shape."""
    graph = read(text, INPUTS)
    value = compute(graph, VALUES)["value"]
    assert value.shape == expected.shape == graph.nodes.shape(graph.outputs[0].node)
    np.testing.assert_allclose(value, expected, rtol=1e-15)


def operations(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the operations of a formula, with their parameters."""
    nodes = read(text, INPUTS).nodes[len(INPUTS) :]
    return [(node.operation, dict(node.parameters)) for node in nodes if not node.is_constant]


def test_slice_is_one_operation() -> None:
    """A slice says the first index, the count and the step of every axis."""
    assert operations("x[3:0:-2]") == [("slice", {"starts": (3, 0), "counts": (2, 4), "steps": (-2, 1)})]
    assert operations("t[:, 1:, -1:]") == [("slice", {"starts": (0, 1, 3), "counts": (2, 2, 1), "steps": (1, 1, 1)})]


def test_index_is_a_slice_and_a_reshape() -> None:
    """A whole number takes one element of its axis, and the axis away; a new axis is one of extent 1."""
    row = ("slice", {"starts": (1, 0), "counts": (1, 4), "steps": (1, 1)})
    assert operations("x[1]") == [row, ("reshape", {"shape": (4,)})]
    assert operations("x[1, None]") == [row]
    assert operations("x[None, 1, :, None]") == [row, ("reshape", {"shape": (1, 4, 1)})]


@pytest.mark.parametrize("text", ["x[:]", "x[...]", "x[:, :]", "x[0:5, ::1]", "x[-5:99]", "x[...][:]", "s[...]"])
def test_all_of_it_is_no_operation(text: str) -> None:
    """An index that takes everything as it is leaves no trace."""
    assert operations(text) == []


def test_one_integer_array_is_a_take() -> None:
    """The other axes are sliced first, then elements are taken, then axes go."""
    taken = {"axis": 1, "index_shape": (2,), "indices": (2, 3)}
    assert operations("x[:, [2, -1]]") == [("take", taken)]
    sliced = ("slice", {"starts": (1, 0), "counts": (1, 4), "steps": (1, 1)})
    assert operations("x[1, [2, -1]]") == [sliced, ("take", taken), ("reshape", {"shape": (2,)})]


def test_integer_arrays_side_by_side_are_one_take() -> None:
    """Their axes become one, from which elements are taken by their place in it."""
    assert operations("t[:, [0, 2], [[1], [3]]]") == [
        ("reshape", {"shape": (2, 12)}),
        ("take", {"axis": 1, "index_shape": (2, 2), "indices": (1, 9, 3, 11)}),
    ]


def test_spellings_of_one_index() -> None:
    """However an index is written, equal selections are one function."""
    for texts in (
        ["x[1:]", "x[1:, :]", "x[1:5]", "x[-4:, ...]", "(x)[1::1]"],
        ["x[-1]", "x[4]", "x[4, :]", "x[4, ...]"],
        ["x[[-1, 0]]", "x[[4, 0], :]", "take(x, [4, 0], axis=0)", "take(x, (4, -5), 0)"],
        ["x[:, None]", "x[:, newaxis, :]", "expand_dims(x, 1)", "reshape(x, (5, 1, 4))"],
        ["x.T", "transpose(x)", "swapaxes(x, 0, 1)", "transpose(x, (1, 0))", "moveaxis(x, 0, 1)"],
    ):
        assert len({digest_of(text, INPUTS) for text in texts}) == 1


MISTAKES = [
    ("x[5]", 3, "index 5 is out of range for an axis of extent 5"),
    ("x[0, -5]", 6, "index -5 is out of range for an axis of extent 4"),
    ("x[[0, 7]]", 3, "index 7 is out of range for an axis of extent 5"),
    ("x[0, 1, 2]", 9, "3 indices for a value of shape (5, 4), which has 2 axes"),
    ("x[..., 0, 1, 2]", 14, "3 indices for a value of shape (5, 4), which has 2 axes"),
    ("s[0]", 3, "1 index for a value of shape (), which has no axis"),
    ("x[0][1][2]", 9, "1 index for a value of shape (), which has no axis"),
    ("x[2:2]", 3, "the slice takes nothing of an axis of extent 5"),
    ("x[:, 9:]", 6, "the slice takes nothing of an axis of extent 4"),
    ("x[::0]", 3, "a slice cannot have a step of 0"),
    ("x[..., ...]", 8, "only one index may be '...'"),
    ("x[1.0]", 3, "an index must be a whole number, found 1.0"),
    ("x[1e0]", 3, "an index must be a whole number, found 1e0"),
    ("x[:pi]", 4, "a bound of a slice must be a whole number, found pi"),
    ("x[s]", 3, "an index must be a whole number written out, such as 2 or -1; 's' is a name"),
    ("x[s:]", 3, "a bound of a slice must be a whole number written out, such as 2 or -1; 's' is a name"),
    ("x[True]", 3, "'True' is a name"),
    ("x[2*1]", 3, "an index must be a whole number written out"),
    ("x[1 - 1]", 3, "an index must be a whole number written out"),
    ("x[floor(1)]", 3, "an index must be a whole number written out"),
    ("x[x[0]]", 3, "an index must be a whole number written out"),
    ("x[x > 0]", 3, "to choose by a condition, write where(condition, a, b)"),
    ("x[[0, s]]", 7, "an index must be a whole number written out"),
    ("x[[0, 1.5]]", 7, "an index must be a whole number, found 1.5"),
    ("x[[[0, 1], [2]]]", 12, "an index must have rows of one length, 2 like the first of its depth"),
    ("x[[[0, 1], 2]]", 12, "an index must have rows of one length"),
    ("x[9999999999999999999]", 3, "an index has more than 18 digits: 9999999999999999999"),
    ("t[0, :, [1, 2]]", 9, "must stand next to one another"),
    ("t[[0, 1], :, 2]", 14, "must stand next to one another"),
    ("t[[0, 1], None, [1, 2]]", 17, "must stand next to one another"),
    ("t[:, [1, 2], ..., 0]", 19, "must stand next to one another"),
    ("t[[0, 1], [1, 2], ..., 0]", 24, "must stand next to one another"),
]


@pytest.mark.parametrize(("text", "column", "message"), MISTAKES, ids=[text for text, *_ in MISTAKES])
def test_mistake(text: str, column: int, message: str) -> None:
    """An index that selects nothing sensible is refused at its own place, and says why."""
    error = refusal(text, INPUTS)
    head, _, caret = error.message.split("\n")
    assert (error.reason, error.metadata) == ("FORMULA_INDEX", {"line": "1", "column": str(column)})
    assert message in head
    assert caret == " " * (column + 1) + "^"


def test_mistake_on_another_line() -> None:
    """Inside brackets lines go on, and a mistake is found on its own."""
    error = refusal("y = x[\n  0,\n  4\n]\ny", INPUTS)
    assert (error.metadata["line"], error.metadata["column"]) == ("3", "3")
