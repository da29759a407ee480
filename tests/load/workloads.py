"""What is asked of the server, each request with the right answer from a source that is not the engine.

The references are closed forms in NumPy. Whatever they say, they say within rounding; the bits are those that the
undisturbed server gives at the beginning, once the closed form has agreed with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import gradmill as gm
import numpy as np
import numpy.typing as npt
from gradmill.sources import as_source
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.v1.graph_pb2 import Array as ArrayMessage
from gradmill.v1.graph_pb2 import Formula, Input

from tests.end_to_end.closed_form import FORMULA as BLACK_SCHOLES
from tests.end_to_end.closed_form import closed_form, condition_numbers
from tests.end_to_end.option_rows import COLUMNS, option_rows

Array = npt.NDArray[np.float64]

SEED_FUNCTION = "3*(x1**2 + x2*x3)"
ROSENBROCK = "sum(100*(x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)"
_ROUNDING = 1e-13
_DERIVATIVES = {
    "value": service.DERIVATIVE_VALUE,
    "gradient": service.DERIVATIVE_GRADIENT,
    "hvp": service.DERIVATIVE_HVP,
    "hessian": service.DERIVATIVE_HESSIAN,
}


@dataclass(frozen=True, slots=True)
class Reference:
    """The right numbers of one result, and how far rounding may take an answer from each of them."""

    values: Array
    tolerance: Array

    def disagrees(self, got: Array) -> str | None:
        """Return what is wrong with an answer, None when it is right."""
        if got.shape != self.values.shape:
            return f"shape {got.shape}, not {self.values.shape}"
        wrong = ~(np.abs(got - self.values) <= self.tolerance)
        if not wrong.any():
            return None
        place = tuple(int(number) for number in np.argwhere(wrong)[0])
        return f"{float(got[place])!r} at {place}, not {float(self.values[place])!r}"


@dataclass(frozen=True, slots=True)
class Workload:
    """One evaluation and its right answer.

    Attributes:
        scenario: what kind of traffic it is, for the report.
        function: the function in full.
        kinds: what is wanted, by the names of derivatives.
        points: the matrix of points.
        references: the right results, in the order of the answer.
        vectors: the directions [1, elements] of a product, shared by all points.
        summed: whether the results are summed over the points.
    """

    scenario: str
    function: service.Function
    kinds: tuple[str, ...]
    points: Array
    references: tuple[Reference, ...]
    vectors: Array | None = None
    summed: bool = False

    def request(self, function: service.Function | None = None) -> service.EvaluateRequest:
        """Return the request, with the function in full or as given."""
        return service.EvaluateRequest(
            function=function or self.function,
            wants=[self._want(kind) for kind in self.kinds],
            points=service.Points(matrix=array_message(self.points)),
            reduction=service.REDUCTION_SUM if self.summed else service.REDUCTION_NONE,
        )

    def _want(self, kind: str) -> service.Want:
        want = service.Want(derivative=_DERIVATIVES[kind])
        if kind == "hvp" and self.vectors is not None:
            want.directions.CopyFrom(service.Direction(shared=True, matrix=array_message(self.vectors)))
        return want

    def disagrees(self, results: Sequence[Array]) -> str | None:
        """Return what is wrong with an answer, None when it is right."""
        if len(results) != len(self.references):
            return f"{len(results)} results, not {len(self.references)}"
        for number, (result, reference) in enumerate(zip(results, self.references, strict=True)):
            found = reference.disagrees(result)
            if found is not None:
                return f"result {number}: {found}"
        return None


def array_message(values: Array) -> ArrayMessage:
    """Return an array as it travels."""
    return ArrayMessage(shape=values.shape, data=np.ascontiguousarray(values, dtype="<f8").tobytes())


def near(values: Array, scale: Array | float) -> Reference:
    """Return a reference that allows the rounding of numbers as large as ``scale``."""
    return Reference(values, np.broadcast_to(np.asarray(_ROUNDING * np.asarray(scale)), values.shape))


def formula_message(text: str, **shapes: tuple[int, ...]) -> service.Function:
    """Return a formula as a function; without shapes its free names are scalars."""
    inputs = [Input(name=name, shape=shape) for name, shape in shapes.items()]
    return service.Function(formula=Formula(text=text, inputs=inputs))


def pool(random: np.random.Generator, *, largest_batch: int = 1_000) -> Iterator[Workload]:
    """Return the fixed workloads of a run, each kind several times at points of its own."""
    for _ in range(16):
        yield seed_workload(random.uniform(-5, 5, (1, 3)))
    rows = option_rows(2 * largest_batch)
    for count in (1, 3, 17, 64, 250, largest_batch):
        start = int(random.integers(0, len(rows) - count))
        yield black_scholes_workload(rows[start : start + count])
    for count in (1, 1, 8, 40):
        yield rosenbrock_workload(random.uniform(-2, 2, (count, 100)))
    for count in (1, 4):
        yield curvature_workload(random.uniform(-2, 2, (count, 100)), random.uniform(-1, 1, (1, 100)))
        yield hessian_workload(random.uniform(-2, 2, (count, 10)))
    for count in (500, 5_000):
        yield sum_workload(random.uniform(-5, 5, (count, 3)))
    for count in (1, 20):
        yield loop_workload(np.column_stack([random.uniform(0.5, 1.1, count), *random.uniform(0.1, 2.0, (2, count))]))


def seed_workload(points: Array) -> Workload:
    """3*(x1**2 + x2*x3): value and gradient."""
    values, gradient = _seed(points)
    references = (near(values, 6 * 75.0), near(gradient, 30.0))
    return Workload("seed function", formula_message(SEED_FUNCTION), ("value", "gradient"), points, references)


def _seed(points: Array) -> tuple[Array, Array]:
    first, second, third = points.T
    return 3 * (first**2 + second * third), np.column_stack([6 * first, 3 * third, 3 * second])


def black_scholes_workload(rows: Array) -> Workload:
    """European calls: price and all five sensitivities."""
    expected = closed_form(rows)
    spot = rows[:, 0]
    price = Reference(expected.price, 1e-12 * np.abs(expected.price) + _ROUNDING * spot)
    gradient = Reference(expected.gradient, 2e-15 * condition_numbers(rows) * np.abs(expected.gradient))
    function = formula_message(BLACK_SCHOLES, **dict.fromkeys(COLUMNS, ()))
    return Workload("Black-Scholes", function, ("value", "gradient"), rows, (price, gradient))


def rosenbrock_workload(points: Array) -> Workload:
    """Rosenbrock's function of as many variables as there are columns: value and gradient."""
    values, gradient = rosenbrock(points)
    function = formula_message(ROSENBROCK, x=(points.shape[1],))
    references = (near(values, values), near(gradient, 1e4))
    return Workload("Rosenbrock", function, ("value", "gradient"), points, references)


def rosenbrock(points: Array) -> tuple[Array, Array]:
    """Return values [n] and gradients [n, columns] of Rosenbrock's function."""
    left, right = points[:, :-1], points[:, 1:]
    residual = right - left**2
    gradient = np.zeros_like(points)
    gradient[:, :-1] = -400 * left * residual - 2 * (1 - left)
    gradient[:, 1:] += 200 * residual
    return (100 * residual**2 + (1 - left) ** 2).sum(axis=1), gradient


def rosenbrock_hessians(points: Array) -> Array:
    """Return the Hessians [n, columns, columns] of Rosenbrock's function."""
    count, columns = points.shape
    left, right = points[:, :-1], points[:, 1:]
    hessians = np.zeros((count, columns, columns))
    inner = np.arange(columns - 1)
    hessians[:, inner, inner] = -400 * (right - 3 * left**2) + 2
    hessians[:, inner + 1, inner + 1] += 200
    hessians[:, inner, inner + 1] = hessians[:, inner + 1, inner] = -400 * left
    return hessians


def curvature_workload(points: Array, vectors: Array) -> Workload:
    """Hessians of Rosenbrock's function times a vector."""
    products = np.einsum("nij,j->ni", rosenbrock_hessians(points), vectors[0])[None]
    function = formula_message(ROSENBROCK, x=(points.shape[1],))
    return Workload("Hessian product", function, ("hvp",), points, (near(products, 2e4),), vectors)


def hessian_workload(points: Array) -> Workload:
    """Hessians of Rosenbrock's function."""
    function = formula_message(ROSENBROCK, x=(points.shape[1],))
    return Workload("Hessian", function, ("hessian",), points, (near(rosenbrock_hessians(points), 1e4),))


def sum_workload(points: Array) -> Workload:
    """The sum over all points of value and gradient of the seed function."""
    values, gradient = _seed(points)
    references = (
        near(np.asarray(values.sum()), np.abs(values).sum()),
        near(gradient.sum(axis=0), np.abs(gradient).sum(axis=0)),
    )
    function = formula_message(SEED_FUNCTION)
    return Workload("sum over points", function, ("value", "gradient"), points, references, summed=True)


def loop_workload(points: Array, steps: int = 40) -> Workload:
    """A loop of ``carry = factor*carry + step``: value and gradient by the factor, the step and the first carry."""
    factor, step, carry = gm.inputs("factor", "step", "carry")
    final = gm.fold(lambda state, _: factor * state + step, carry, steps=steps)
    factors, added, first = points.T
    powers = factors[:, None] ** np.arange(steps + 1)
    slopes = np.arange(1, steps + 1) * powers[:, :steps]
    geometric = powers[:, :steps].sum(axis=1)
    values = powers[:, steps] * first + added * geometric
    by_factor = slopes[:, -1] * first + added * slopes[:, :-1].sum(axis=1)
    gradient = np.column_stack([by_factor, geometric, powers[:, steps]])
    references = (near(values, np.abs(values)), near(gradient, np.abs(gradient)))
    function = as_source(final).message()
    return Workload("loop", function, ("value", "gradient"), points, references)


def fresh_workload(random: np.random.Generator) -> Workload:
    """A function that nobody has sent before: its constants are new."""
    first, second = (float(number) for number in random.uniform(0.5, 2.0, 2))
    text = f"{first!r}*x**2 + sin({second!r}*x)*y"
    points = random.uniform(-2, 2, (4, 2))
    x, y = points.T
    values = first * x**2 + np.sin(second * x) * y
    gradient = np.column_stack([2 * first * x + second * np.cos(second * x) * y, np.sin(second * x)])
    references = (near(values, 20.0), near(gradient, 20.0))
    return Workload("new function", formula_message(text), ("value", "gradient"), points, references)
