"""Functions and methods of whole arrays: NumPy's shapes, and one normal form of operations for each meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradmill as gm
import numpy as np
import pytest
from gradmill import arrays
from gradmill.graph import Constant, Operation

Parameters = dict[str, object]


def operations(value: gm.Expression) -> list[tuple[str, Parameters]]:
    """Return the operations of a value in order, with their parameters."""
    return [
        (entry.name, {parameter.name: parameter.value for parameter in entry.parameters})
        for entry in value.as_function().graph.values
        if isinstance(entry, Operation)
    ]


def step(name: str, **parameters: object) -> tuple[str, Parameters]:
    """Return one expected operation."""
    return name, parameters


SAME_NAME: list[tuple[str, tuple[int, ...], tuple[Any, ...], dict[str, Any]]] = [
    *[
        (name, (2, 3, 4), (), chosen)
        for name in ("sum", "mean", "prod", "amax", "amin", "any", "all", "var", "std", "max", "min")
        for chosen in ({}, {"axis": 1}, {"axis": (-1, 0)}, {"axis": -2, "keepdims": True}, {"keepdims": True})
    ],
    ("sum", (), (), {}),
    ("sum", (2, 3), ((),), {}),
    ("var", (2, 3), (), {"axis": 1, "ddof": 1}),
    ("argmax", (2, 3), (), {}),
    ("argmin", (2, 3), (-2,), {}),
    ("cumsum", (2, 3), (), {}),
    ("cumsum", (3,), (), {}),
    ("cumprod", (2, 3), (-1,), {}),
    ("diff", (2, 5), (), {}),
    ("diff", (4, 2), (2, 0), {}),
    ("diff", (4, 2), (0,), {}),
    ("sort", (2, 3), (), {}),
    ("sort", (2, 3), (None,), {}),
    ("argsort", (2, 3), (0,), {}),
    ("reshape", (2, 3), ((3, -1),), {}),
    ("reshape", (2, 3), (6,), {}),
    ("reshape", (1,), ((),), {}),
    ("ravel", (2, 3), (), {}),
    ("transpose", (2, 3, 4), (), {}),
    ("transpose", (2, 3, 4), ((1, -1, 0),), {}),
    ("swapaxes", (2, 3, 4), (0, -1), {}),
    ("moveaxis", (2, 3, 4), (0, -1), {}),
    ("moveaxis", (2, 3, 4), ((0, 1), (-1, 0)), {}),
    ("expand_dims", (2, 3), (1,), {}),
    ("expand_dims", (2, 3), ((0, -1),), {}),
    ("squeeze", (1, 3, 1), (), {}),
    ("squeeze", (1, 3, 1), (-1,), {}),
    ("broadcast_to", (3, 1), ((2, 3, 4),), {}),
    ("flip", (2, 3), (), {}),
    ("flip", (2, 3), ((-1,),), {}),
    ("repeat", (2, 3), (2,), {}),
    ("repeat", (2, 3), (2, -1), {}),
    ("tile", (2, 3), (2,), {}),
    ("tile", (2,), ((3, 1, 2),), {}),
    ("take", (4, 3), ([[0, -1], [2, 2]],), {}),
    ("take", (4, 3), ([0, -1],), {"axis": 1}),
    ("take", (4, 3), (2,), {"axis": 0}),
    ("diag", (3,), (), {}),
    ("diag", (3,), (-2,), {}),
    ("diag", (3, 4), (1,), {}),
    ("trace", (3, 4), (), {}),
]


@pytest.mark.parametrize(("name", "shape", "arguments", "named"), SAME_NAME)
def test_a_function_has_the_shape_that_numpy_gives(
    name: str, shape: tuple[int, ...], arguments: tuple[Any, ...], named: dict[str, Any]
) -> None:
    """Functions take NumPy's arguments, and their results have NumPy's shapes."""
    x = gm.inputs("x", shape=shape)
    expected = getattr(np, name)(np.ones(shape), *arguments, **named)
    assert getattr(gm, name)(x, *arguments, **named).shape == np.shape(expected)


PAIRS: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
    ("matmul", (3,), (3,)),
    ("matmul", (2, 3), (3,)),
    ("matmul", (3,), (3, 4)),
    ("matmul", (2, 3), (3, 4)),
    ("matmul", (5, 1, 2, 3), (7, 3, 4)),
    ("matmul", (3,), (5, 3, 4)),
    ("dot", (3,), (3,)),
    ("dot", (2, 3), (3, 4)),
    ("dot", (), (3, 4)),
    ("dot", (3,), ()),
    ("outer", (2, 3), (4,)),
    ("outer", (), (4,)),
]


@pytest.mark.parametrize(("name", "left", "right"), PAIRS)
def test_a_product_has_the_shape_that_numpy_gives(name: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Products follow NumPy's rules, also with an array of numbers on either side."""
    x, y = gm.inputs({"x": left, "y": right})
    function, numpy_function = getattr(gm, name), getattr(np, name)
    expected = np.shape(numpy_function(np.ones(left), np.ones(right)))
    assert function(x, y).shape == function(x, np.ones(right)).shape == function(np.ones(left), y).shape == expected


def test_the_matrix_operator_is_the_matrix_product() -> None:
    """``@`` works with expressions and arrays on either side."""
    a, x = gm.inputs({"A": (2, 3), "x": (3,)})
    numbers = np.ones((4, 2))
    assert (a @ x).digest == gm.matmul(a, x).digest
    assert operations(a @ x) == [step("matmul")]
    assert (numbers @ a).digest == gm.matmul(numbers, a).digest
    assert (a @ np.ones(3)).shape == (2,)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "written"),
    [
        ("ij,j->i", [(2, 3), (3,)], "ij,j->i"),
        (" i j , j k ", [(2, 3), (3, 4)], "ij,jk->ik"),
        ("bA,bA", [(2, 3), (2, 3)], "bA,bA->"),
        ("ba", [(2, 3)], "ba->ab"),
        ("ii->i", [(3, 3)], "ii->i"),
        ("Zi,ai", [(2, 3), (4, 3)], "Zi,ai->Za"),
    ],
)
def test_subscripts_are_written_out(subscripts: str, shapes: list[tuple[int, ...]], written: str) -> None:
    """Einsum's text has no blanks and an explicit result, whose letters NumPy would choose."""
    operands = gm.inputs({f"x{place}": shape for place, shape in enumerate(shapes)})
    value = gm.einsum(subscripts, *operands)
    assert operations(value) == [step("einsum", subscripts=written)]
    assert value.shape == np.einsum(subscripts, *map(np.ones, shapes)).shape


def test_linear_algebra_has_the_shapes_that_numpy_gives() -> None:
    """Factors, solutions, inverses and determinants, of one matrix and of several."""
    a, v, m, batch = gm.inputs({"a": (3, 3), "v": (3,), "m": (3, 2), "batch": (5, 3, 3)})
    assert gm.solve(a, v).shape == gm.solve_triangular(a, v).shape == (3,)
    assert gm.solve(a, m).shape == (3, 2)
    assert gm.cholesky(batch).shape == gm.inv(batch).shape == gm.inverse(batch).shape == (5, 3, 3)
    assert gm.logdet(batch).shape == (5,)
    assert gm.logdet(a).shape == ()


NORMAL_FORMS: list[tuple[Callable[[gm.Expression], gm.Expression], list[tuple[str, Parameters]]]] = [
    (lambda x: x.sum(), [step("sum", axes=(0, 1))]),
    (lambda x: gm.sum(x, (-1, 0)), [step("sum", axes=(0, 1))]),
    (lambda x: gm.sum(x, 1, keepdims=True), [step("sum", axes=(1,), keepdims=1)]),
    (lambda x: x.mean(-1, keepdims=False), [step("mean", axes=(1,))]),
    (lambda x: x.prod(0), [step("prod", axes=(0,))]),
    (gm.max, [step("amax", axes=(0, 1))]),
    (lambda x: x.max(), [step("amax", axes=(0, 1))]),
    (lambda x: x.min(axis=0), [step("amin", axes=(0,))]),
    (lambda x: gm.max(x, x), [step("maximum")]),
    (lambda x: gm.min(x, 0.5), [step("minimum")]),
    (lambda x: x.var(ddof=0), [step("var", axes=(0, 1))]),
    (lambda x: x.std(ddof=1), [step("std", axes=(0, 1), ddof=1)]),
    (gm.norm, [step("norm", axes=(0, 1))]),
    (lambda x: gm.norm(x, "fro"), [step("norm", axes=(0, 1))]),
    (lambda x: gm.norm(x, 2, axis=-1), [step("norm", axes=(1,))]),
    (gm.argmax, [step("argmax")]),
    (lambda x: gm.argmin(x, -1), [step("argmin", axis=1)]),
    (gm.softmax, [step("softmax", axis=1)]),
    (lambda x: gm.log_softmax(x, 0), [step("log_softmax", axis=0)]),
    (lambda x: gm.logsumexp(x, -1), [step("logsumexp", axes=(1,))]),
    (lambda x: x.cumsum(), [step("reshape", shape=(12,)), step("cumsum", axis=0)]),
    (lambda x: gm.cumprod(x, -1), [step("cumprod", axis=1)]),
    (lambda x: gm.diff(x, 2), [step("diff", axis=1), step("diff", axis=1)]),
    (gm.sort, [step("sort", axis=1)]),
    (lambda x: x.reshape(4, 3), []),
    (lambda x: x.reshape(-1, 2), [step("reshape", shape=(6, 2))]),
    (lambda x: x.reshape((6, -1)), [step("reshape", shape=(6, 2))]),
    (lambda x: x.ravel(), [step("reshape", shape=(12,))]),
    (lambda x: x.flatten(), [step("reshape", shape=(12,))]),
    (lambda x: gm.expand_dims(x, 0), [step("reshape", shape=(1, 4, 3))]),
    (lambda x: x[None].squeeze(), [step("reshape", shape=(1, 4, 3)), step("reshape", shape=(4, 3))]),
    (lambda x: x.squeeze(), []),
    (lambda x: x.T, [step("transpose", axes=(1, 0))]),
    (lambda x: x.transpose(), [step("transpose", axes=(1, 0))]),
    (lambda x: x.transpose(0, 1), []),
    (lambda x: x.reshape(np.array([6, 2])), [step("reshape", shape=(6, 2))]),
    (lambda x: x.transpose((1, 0)), [step("transpose", axes=(1, 0))]),
    (lambda x: gm.swapaxes(x, 0, 1), [step("transpose", axes=(1, 0))]),
    (lambda x: gm.moveaxis(x, 0, -1), [step("transpose", axes=(1, 0))]),
    (lambda x: gm.broadcast_to(x, (4, 3)), []),
    (lambda x: gm.concatenate([x], axis=-1), []),
    (lambda x: gm.concatenate([x, x], axis=-1), [step("concatenate", axis=1)]),
    (lambda x: gm.concatenate([x, x], axis=None), [step("reshape", shape=(12,)), step("concatenate", axis=0)]),
    (lambda x: gm.stack([x, x], axis=-1), [step("stack", axis=2)]),
    (gm.flip, [step("flip", axes=(0, 1))]),
    (lambda x: gm.repeat(x, 2), [step("reshape", shape=(12,)), step("repeat", repeats=2, axis=0)]),
    (lambda x: gm.tile(x, 2), [step("tile", repeats=(1, 2))]),
    (lambda x: gm.take(x, 3), [step("reshape", shape=(12,)), step("take", indices=(3,), index_shape=(), axis=0)]),
    (gm.diag, [step("diag")]),
    (lambda x: gm.diag(x, -1), [step("diag", offset=-1)]),
    (gm.trace, [step("trace")]),
    (lambda x: x.dot(np.ones(3)), [step("dot")]),
    (
        lambda x: gm.solve_triangular(x[:3], np.ones(3)),
        [SLICED := step("slice", starts=(0, 0), counts=(3, 3), steps=(1, 1)), step("solve_triangular")],
    ),
    (
        lambda x: gm.solve_triangular(x[:3], np.ones(3), trans=1, lower=True, unit_diagonal=True),
        [SLICED, step("solve_triangular", lower=1, transposed=1, unit_diagonal=1)],
    ),
]


@pytest.mark.parametrize(("spelling", "expected"), NORMAL_FORMS)
def test_a_spelling_has_one_normal_form(
    spelling: Callable[[gm.Expression], gm.Expression], expected: list[tuple[str, Parameters]]
) -> None:
    """Axes count from 0 and ascend, defaults are left out, and what changes nothing is no operation."""
    x = gm.inputs("x", shape=(4, 3))
    found = operations(spelling(x))
    assert [(name, dict(sorted(parameters.items()))) for name, parameters in found] == [
        (name, dict(sorted(parameters.items()))) for name, parameters in expected
    ]


def test_arrays_of_numbers_are_joined_with_traced_ones() -> None:
    """What is stacked or concatenated may be a number or an array beside a traced value, or the rows of one."""
    v, s = gm.inputs({"v": (2,), "s": ()})
    stacked = gm.stack([s, 1.0, 2 * s])
    assert stacked.shape == (3,)
    assert any(entry == Constant((), np.float64(1.0).tobytes()) for entry in stacked.as_function().graph.values)
    assert gm.concatenate([np.ones(3), v]).shape == (5,)
    assert gm.concatenate([np.ones((2, 2)), v], axis=None).shape == (6,)
    assert gm.concatenate(gm.stack([v, v])).shape == (4,)


MISTAKES: list[tuple[Callable[[gm.Expression], object], str]] = [
    (lambda x: gm.sum(x, 2), r"sum: shape \(4, 3\) has no axis 2"),
    (lambda x: gm.sum(x, (0, -2)), r"sum: shape \(4, 3\) has an axis named twice in \(0, -2\)"),
    (lambda x: x.var(0, ddof=4), r"var: shape \(4, 3\) leaves no degree of freedom with ddof=4"),
    (lambda x: gm.norm(x, 1, axis=0), "norm: ord=1 over 1 axes is another norm"),
    (lambda x: gm.cumsum(x, 5), r"cumsum: shape \(4, 3\) has no axis 5"),
    (lambda x: gm.diff(x, 3), r"diff: shape \(4, 1\) has one element only along axis 1"),
    (lambda x: gm.diff(x, -1), "cannot be differenced -1 times"),
    (lambda x: x.reshape(5, -1), r"reshape: shape \(4, 3\) has 12 elements, which do not make \(5, -1\)"),
    (lambda x: x.reshape(-1, -1), r"do not make \(-1, -1\)"),
    (lambda x: x.reshape(3, 5), r"reshape: shape \(4, 3\) has 12 elements, but \(3, 5\) takes 15"),
    (lambda x: x.reshape(-2, -6), "every extent is at least 1"),
    (lambda x: x.transpose(0), r"transpose: shape \(4, 3\) has 2 axes, of which \(0,\) is no order"),
    (lambda x: x.transpose(0, 0), "named twice"),
    (lambda x: gm.moveaxis(x, (0, 1), 0), "has 2 axes to move to 1 places"),
    (lambda x: gm.expand_dims(x, 3), r"expand_dims: shape \(4, 3\) has no axis 3"),
    (lambda x: x.squeeze(0), r"squeeze: shape \(4, 3\) has other extents than 1 along \(0,\)"),
    (lambda x: gm.broadcast_to(x, (4, 4)), r"broadcast_to: shape \(4, 3\) does not broadcast to \(4, 4\)"),
    (lambda x: gm.broadcast_to(x, 3), r"does not broadcast to \(3,\)"),
    (lambda x: gm.concatenate([x, np.ones((4, 2))]), r"concatenate: shapes \(4, 3\) and \(4, 2\) differ along another"),
    (lambda x: gm.concatenate([x[0, 0], x[0, 0]]), r"concatenate: shape \(\) has no axis 0"),
    (lambda x: gm.stack([x, np.ones(3)]), r"stack: shapes \(4, 3\) and \(3,\) differ"),
    (lambda x: gm.repeat(x, 2**63, 1), r"repeat: shape \(4, 3\) came with a number beyond 64 bits as 'repeats'"),
    (lambda x: x[:: 2**70], r"slice: shape \(4, 3\) came with a number beyond 64 bits as 'steps'"),
    (lambda x: gm.repeat(x, 0, 1), r"repeat: shape \(4, 3\) cannot be repeated 0 times"),
    (lambda x: gm.tile(x, (1, 0)), r"tile: shape \(4, 3\) cannot be repeated \(1, 0\) times"),
    (lambda x: gm.take(x, 4, 0), r"take: shape \(4, 3\) has no element 4 along axis 0"),
    (lambda x: gm.take(x, [0.5]), "is no array of whole numbers"),
    (lambda x: gm.diag(x, 3), r"diag: shape \(4, 3\) has no diagonal 3"),
    (lambda x: gm.trace(x[0]), r"trace: shape \(3,\) is not that of a matrix"),
    (lambda x: x @ x, r"matmul: shapes \(4, 3\) and \(4, 3\) do not multiply"),
    (lambda x: x @ 2.0, r"matmul: shapes \(4, 3\) and \(\) do not multiply as matrices: use \* for scalars"),
    (lambda x: gm.dot(x, x[None]), r"dot: shapes \(4, 3\) and \(1, 4, 3\) have more than two axes"),
    (lambda x: gm.einsum("ij,ij->k", x, x), "cannot give 'k'"),
    (lambda x: gm.einsum("ij,jk", x, x), r"einsum: shapes \(4, 3\) and \(4, 3\) do not fit 'ij,jk'"),
    (lambda x: gm.einsum("i", x), r"einsum: shape \(4, 3\) does not fit 'i'"),
    (lambda x: gm.einsum("...i", x), "cannot go by '...i->i': a letter for each axis"),
    (lambda x: gm.einsum("ij,ij,ij", x, x, x), "einsum takes one or two"),
    (gm.cholesky, r"cholesky: shape \(4, 3\) is not that of a square matrix"),
    (lambda x: gm.solve(x[:3], x), r"solve: shapes \(3, 3\) and \(4, 3\) do not fit"),
    (lambda x: gm.solve(x, x), r"solve: shapes \(4, 3\) and \(4, 3\) do not begin with a square matrix"),
    (lambda x: gm.solve_triangular(x[:3], x[0], trans=2), "trans=2 is neither 0 nor 1"),
]


@pytest.mark.parametrize(("mistake", "problem"), MISTAKES)
def test_a_mistake_names_the_operation_the_shapes_and_the_line(
    mistake: Callable[[gm.Expression], object], problem: str
) -> None:
    """Whatever does not fit is told at once, where it was written."""
    x = gm.inputs("x", shape=(4, 3))
    with pytest.raises(gm.TracingError, match=problem) as caught:
        mistake(x)
    assert f"test_arrays.py, line {caught.value.metadata['line']}" in str(caught.value)


def test_an_axis_means_nothing_between_two_operands() -> None:
    """The larger of two operands has no axis to go along."""
    x = gm.inputs("x", shape=(4, 3))
    for function in (gm.max, gm.min):
        with pytest.raises(TypeError, match="elements are compared one by one"):
            function(x, x, axis=0)


@pytest.mark.parametrize("name", sorted(set(arrays.__all__) - {"einsum"}))
def test_a_function_of_plain_arrays_is_refused(name: str) -> None:
    """Applying a traced function to numbers alone says where to go instead of computing something else."""
    arguments: dict[str, list[Any]] = {
        "broadcast_to": [(2, 2)], "expand_dims": [0], "moveaxis": [0, 1], "repeat": [2], "reshape": [4],
        "swapaxes": [0, 1], "take": [0], "tile": [2],
        **{each: [np.eye(2)] for each in ("dot", "matmul", "outer", "solve", "solve_triangular")},
    }  # fmt: skip
    with pytest.raises(TypeError, match="no operand is traced"):
        getattr(gm, name)(np.eye(2), *arguments.get(name, []))


@pytest.mark.parametrize("subscripts", [1, None, gm.inputs("x", shape=3)])
def test_subscripts_of_einsum_come_first(subscripts: Any) -> None:  # noqa: ANN401
    """What is no text is named as such, also where the operands come first."""
    with pytest.raises(TypeError, match=r"einsum: \w+ is no text of subscripts; they come first"):
        gm.einsum(subscripts, gm.inputs("y", shape=3))
