"""Every array operation at several shapes, with NumPy's own answer beside it; a row without a case fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gradmill_server.engine.ir import ParameterValue, Shape

Array = npt.NDArray[np.float64]


class Case(NamedTuple):
    """One use of an operation.

    Attributes:
        operation: its name.
        shapes: those of its operands.
        parameters: its static parameters.
        numpy: the same in NumPy.
        positive_definite: whether the first operand is to be a symmetric positive definite matrix.
    """

    operation: str
    shapes: tuple[Shape, ...]
    parameters: dict[str, ParameterValue]
    numpy: Callable[..., Any]
    positive_definite: bool = False

    @property
    def label(self) -> str:
        """Its name in reports."""
        parameters = ",".join(f"{name}={value!r}".replace(" ", "") for name, value in self.parameters.items())
        return f"{self.operation}{'x'.join(map(str, self.shapes)).replace(' ', '')}[{parameters}]"


def _log_sum_exp(x: Array, axis: Any = None) -> Array:  # noqa: ANN401 - as NumPy takes it
    result: Array = np.log(np.exp(x).sum(axis))
    return result


def _symmetric(a: Array) -> Array:
    """Return the symmetric matrices that share a lower triangle."""
    return np.tril(a) + np.swapaxes(np.tril(a, -1), -1, -2)


def _unit_upper(a: Array) -> Array:
    return np.triu(a, 1) + np.eye(len(a))


_X = (3, 4)
REDUCTIONS = (
    *(
        Case("sum", (shape,), {"axes": tuple(range(len(shape)))}, np.sum)
        for shape in ((), (1,), (7,), (3, 5), (2, 3, 4))
    ),
    Case("sum", ((2, 3, 4),), {"axes": (1,)}, lambda x: x.sum(1)),
    Case("sum", ((2, 3, 4),), {"axes": (0, 2), "keepdims": 1}, lambda x: x.sum((0, 2), keepdims=True)),
    Case("mean", ((3, 5),), {"axes": (1,)}, lambda x: x.mean(1)),
    Case("prod", ((3, 5),), {"axes": (1,)}, lambda x: x.prod(1)),
    Case("prod", ((2, 3),), {"axes": (0, 1), "keepdims": 1}, lambda x: x.prod(keepdims=True)),
    Case("amax", ((3, 5),), {"axes": (1,)}, lambda x: x.max(1)),
    Case("amax", ((),), {"axes": ()}, np.max),
    Case("amin", ((3, 5),), {"axes": (0, 1), "keepdims": 1}, lambda x: x.min(keepdims=True)),
    Case("norm", ((3, 5),), {"axes": (0, 1)}, np.linalg.norm),
    Case("norm", ((3, 5),), {"axes": (1,)}, lambda x: np.linalg.norm(x, axis=1)),
    Case("logsumexp", ((3, 5),), {"axes": (1,)}, lambda x: _log_sum_exp(x, 1)),
    Case("logsumexp", ((4,),), {"axes": (0,), "keepdims": 1}, lambda x: _log_sum_exp(x).reshape(1)),
    Case("var", ((3, 5),), {"axes": (1,), "ddof": 1}, lambda x: x.var(1, ddof=1)),
    Case("std", ((3, 5),), {"axes": (0, 1)}, np.std),
    Case("any", ((3, 5),), {"axes": (1,)}, lambda x: x.any(1)),
    Case("all", ((3, 5),), {"axes": (0, 1)}, np.all),
    Case("argmax", ((3, 5),), {"axis": 1}, lambda x: x.argmax(1)),
    Case("argmax", ((2, 3, 5),), {"axis": 0}, lambda x: x.argmax(0)),
    Case("argmin", ((3, 5),), {}, np.argmin),
    Case("trace", ((4, 5),), {}, np.trace),
)
ALONG_AN_AXIS = (
    Case("softmax", ((3, 5),), {"axis": 1}, lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    Case("log_softmax", ((3, 5),), {"axis": 0}, lambda x: x - _log_sum_exp(x, 0)),
    Case("cumsum", ((3, 5),), {"axis": 1}, lambda x: x.cumsum(1)),
    Case("cumsum", ((3, 5),), {"axis": 0}, lambda x: x.cumsum(0)),
    Case("cumprod", ((3, 5),), {"axis": 1}, lambda x: x.cumprod(1)),
    Case("diff", ((3, 5),), {"axis": 0}, lambda x: np.diff(x, axis=0)),
    Case("sort", ((3, 5),), {"axis": 1}, lambda x: np.sort(x, 1)),
    Case("sort", ((3, 5),), {"axis": 0}, lambda x: np.sort(x, 0)),
    Case("argsort", ((3, 5),), {"axis": 1}, lambda x: np.argsort(x, 1)),
)
MOVEMENTS = (
    Case("reshape", (_X,), {"shape": (2, 6)}, lambda x: x.reshape(2, 6)),
    Case("reshape", ((),), {"shape": (1, 1)}, lambda x: np.reshape(x, (1, 1))),
    Case("transpose", ((3, 4, 2),), {"axes": (2, 0, 1)}, lambda x: x.transpose(2, 0, 1)),
    Case("broadcast_to", ((3, 1),), {"shape": (2, 3, 4)}, lambda x: np.broadcast_to(x, (2, 3, 4))),
    Case("broadcast_to", ((),), {"shape": (3,)}, lambda x: np.broadcast_to(x, (3,))),
    Case("slice", ((5, 6),), {"starts": (4, 1), "counts": (3, 2), "steps": (-2, 3)}, lambda x: x[4::-2, 1:5:3]),
    Case(
        "take",
        ((5, 6),),
        {"indices": (0, 4, 4, 2), "index_shape": (2, 2), "axis": 0},
        lambda x: x[np.array([[0, 4], [4, 2]])],
    ),
    Case("take", ((2, 3),), {"indices": (2,), "index_shape": (), "axis": 1}, lambda x: x[:, 2]),
    Case("concatenate", (_X, (3, 2), (3, 1)), {"axis": 1}, lambda *x: np.concatenate(x, 1)),
    Case("stack", (_X, _X), {"axis": 1}, lambda *x: np.stack(x, 1)),
    Case("stack", ((), (), ()), {"axis": 0}, lambda *x: np.stack(x)),
    Case("flip", (_X,), {"axes": (0, 1)}, np.flip),
    Case("repeat", (_X,), {"repeats": 2, "axis": 1}, lambda x: np.repeat(x, 2, 1)),
    Case("tile", (_X,), {"repeats": (2, 1, 3)}, lambda x: np.tile(x, (2, 1, 3))),
    Case("diag", ((4, 5),), {"offset": 1}, lambda x: np.diag(x, 1)),
    Case("diag", ((4, 3),), {"offset": -2}, lambda x: np.diag(x, -2)),
    Case("diag", ((4,),), {"offset": -2}, lambda x: np.diag(x, -2)),
    Case("diag", ((3,),), {}, np.diag),
)
PRODUCTS = (
    Case("matmul", ((3, 4), (4, 2)), {}, np.matmul),
    Case("matmul", ((4,), (4, 2)), {}, np.matmul),
    Case("matmul", ((4,), (4,)), {}, np.matmul),
    Case("matmul", ((2, 3, 4), (4,)), {}, np.matmul),
    Case("matmul", ((2, 1, 3, 4), (5, 4, 2)), {}, np.matmul),
    Case("dot", ((4,), (4,)), {}, np.dot),
    Case("dot", ((3, 4), (4,)), {}, np.dot),
    Case("dot", ((), (4,)), {}, np.dot),
    Case("outer", ((4,), (3,)), {}, np.outer),
    Case("einsum", ((2, 3, 4), (4, 2)), {"subscripts": "bij,jb->ib"}, lambda *x: np.einsum("bij,jb->ib", *x)),
    Case("einsum", ((3, 3, 4),), {"subscripts": "iij->j"}, lambda x: np.einsum("iij->j", x)),
    Case("einsum", ((3, 3, 4), (3, 4)), {"subscripts": "iij,kl->ik"}, lambda *x: np.einsum("iij,kl->ik", *x)),
    Case("einsum", ((3, 4), (4,)), {"subscripts": "ij,j->"}, lambda *x: np.einsum("ij,j->", *x)),
)
SYSTEMS = (
    Case("solve", ((4, 4), (4,)), {}, np.linalg.solve, positive_definite=True),
    Case("solve", ((4, 4), (4, 3)), {}, np.linalg.solve, positive_definite=True),
    Case(
        "solve_triangular",
        ((4, 4), (4, 3)),
        {"lower": 1},
        lambda a, b: np.linalg.solve(np.tril(a), b),
        positive_definite=True,
    ),
    Case(
        "solve_triangular",
        ((4, 4), (4,)),
        {"transposed": 1, "unit_diagonal": 1},
        lambda a, b: np.linalg.solve(_unit_upper(a).T, b),
        positive_definite=True,
    ),
    Case("cholesky", ((4, 4),), {}, lambda a: np.linalg.cholesky(_symmetric(a)), positive_definite=True),
    Case("inverse", ((4, 4),), {}, np.linalg.inv, positive_definite=True),
    Case("logdet", ((4, 4),), {}, lambda a: np.linalg.slogdet(a)[1], positive_definite=True),
)

CASES = (*REDUCTIONS, *ALONG_AN_AXIS, *MOVEMENTS, *PRODUCTS, *SYSTEMS)


def operands_of(case: Case, *, seed: int = 0) -> list[Array]:
    """Return operands for a case, the same ones for the same seed."""
    random = np.random.default_rng([seed, *map(ord, case.label)])
    operands = [random.normal(size=shape) for shape in case.shapes]
    if case.positive_definite:
        extent = len(operands[0])
        operands[0] = operands[0] @ operands[0].T / extent + 2.0 * np.eye(extent)
    return operands
