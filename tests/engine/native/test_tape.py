"""The tape machine: exact arithmetic has NumPy's bits, whatever the batch, the block, the thread or the level."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from gradmill_server.engine.autodiff import NO_ADJOINT, Propagation, backward
from gradmill_server.engine.backends.native import tape as tape_module
from gradmill_server.engine.backends.native.handlers import NATIVE_OPERATIONS
from gradmill_server.engine.backends.native.levels import LEVELS, Level, runs_on_host
from gradmill_server.engine.backends.native.tape import TapeExecutable
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.errors import Cancelled
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.ops import TABLE, emit

Array = npt.NDArray[np.float64]

EXACT = sorted(
    {"add", "subtract", "multiply", "divide", "negate", "sqrt", "abs", "relu", "maximum", "minimum", "fmax", "fmin"}
    | {"clip", "where", "sign", "floor", "ceil", "round", "less", "less_equal", "greater", "greater_equal", "equal"}
    | {"not_equal", "logical_and", "logical_or", "logical_not", "strong_product"}
)
"""The operations whose every result IEEE 754 fixes to the bit."""

SPECIALS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan)
HOST_LEVELS = [level for level in LEVELS if runs_on_host(level)]
BATCHES = (1, 3, 4, 5, 63, 64, 65, 1000)

pytestmark = pytest.mark.skipif(not HOST_LEVELS, reason="this processor runs none of the levels there is code for")


def random_function(seed: int, operations: int = 120, inputs: int = 4) -> Graph:
    """Return a random function of exact operations, with its gradient, as outputs of one graph."""
    random = np.random.default_rng(seed)
    builder = GraphBuilder([Input(f"x{place}") for place in range(inputs)])
    pool = [*range(inputs), builder.constant(0.75), builder.constant(-1.5)]
    smooth = [name for name in EXACT if TABLE[name].partials[-1] is not None and not TABLE[name].internal]
    for _ in range(operations):
        name = str(random.choice(smooth if random.random() < 0.8 else EXACT))
        pool.append(emit(builder, name, [int(random.choice(pool[-20:])) for _ in range(TABLE[name].arity)]))
    adjoints = backward(builder, pool[-1], range(inputs), Propagation())
    outputs = [pool[-1], *(adjoint for adjoint in adjoints[:inputs] if adjoint != NO_ADJOINT)]
    return builder.build([Output(f"r{place}", node) for place, node in enumerate(outputs)])


def points(seed: int, inputs: int, rows: int) -> list[Array]:
    """Return ordinary points with awkward ones among them, a column for each input."""
    random = np.random.default_rng(seed)
    columns = random.normal(size=(inputs, rows)) * 3.0
    awkward = random.random((inputs, rows)) < 0.1
    columns[awkward] = random.choice(SPECIALS, size=int(awkward.sum()))
    return list(columns)


def assert_same(found: list[Array], expected: list[Array]) -> None:
    """Compare bit for bit; a NaN is a NaN, and a zero of either sign may come of a tie between the two."""
    for have, want in zip(found, expected, strict=True):
        np.testing.assert_array_equal(have, want)


def run(executable: TapeExecutable | NumpyExecutable, columns: list[Array]) -> list[Array]:
    """Evaluate without limits."""
    return executable.run(columns, len(columns[0]), lambda: None)


@pytest.mark.parametrize("level", HOST_LEVELS, ids=[level.name for level in HOST_LEVELS])
@pytest.mark.parametrize("name", EXACT)
def test_an_exact_operation_gives_what_numpy_gives(name: str, level: Level) -> None:
    """Each operation that IEEE 754 fixes has NumPy's value at every combination of awkward operands."""
    assert name in NATIVE_OPERATIONS
    arity = TABLE[name].arity
    builder = GraphBuilder([Input(f"x{place}") for place in range(arity)])
    graph = builder.build([Output("value", emit(builder, name, range(arity)))])
    columns = [column.ravel() for column in np.meshgrid(*[np.array(SPECIALS)] * arity)]
    assert_same(run(TapeExecutable(graph, level), columns), run(NumpyExecutable(graph), columns))


@pytest.mark.parametrize("seed", range(20))
def test_bits_do_not_depend_on_batch_block_or_level(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Value and gradient of a point have the same bits in any batch, at any block width, on any level."""
    graph = random_function(seed)
    columns = points(seed, len(graph.inputs), max(BATCHES))
    expected = run(NumpyExecutable(graph), columns)
    first: list[Array] | None = None
    for widest in (8, 24, 64, 1024):
        monkeypatch.setattr(tape_module, "_WIDEST_BLOCK", widest)
        for level in HOST_LEVELS:
            executable = TapeExecutable(graph, level)
            for rows in BATCHES:
                found = run(executable, [column[-rows:] for column in columns])
                assert_same(found, [array[-rows:] for array in expected])
                if rows == max(BATCHES):
                    first = first or found
                    assert [array.tobytes() for array in found] == [array.tobytes() for array in first]


def test_threads_share_a_tape() -> None:
    """Two threads that run one tape at different points do not disturb one another."""
    graph = random_function(1, operations=400)
    executable = TapeExecutable(graph, HOST_LEVELS[0])
    batches = [points(seed, len(graph.inputs), 3_000) for seed in range(16)]
    alone = [run(executable, batch) for batch in batches]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda batch: run(executable, batch), batches))
    for have, want in zip(together, alone, strict=True):
        assert [array.tobytes() for array in have] == [array.tobytes() for array in want]


def test_a_shared_input_is_one_number_for_all_points() -> None:
    """An input given once holds for every point."""
    graph = random_function(2)
    columns = points(3, len(graph.inputs), 100)
    shared = [columns[0][:1], *columns[1:]]
    spread = [np.full(100, columns[0][0]), *columns[1:]]
    executable = TapeExecutable(graph, HOST_LEVELS[0])
    assert_same(executable.run(shared, 100, lambda: None), run(executable, spread))


def _chain(operations: int) -> Graph:
    builder = GraphBuilder([Input("x"), Input("y")])
    value = 0
    for _ in range(operations):
        value = emit(builder, "add", (value, 1))
    return builder.build([Output("value", value)])


def test_a_long_tape_looks_up_and_can_be_stopped() -> None:
    """A tape of 300,000 records is run in slices, and a checkpoint that raises ends it between two of them."""
    executable = TapeExecutable(_chain(300_000), HOST_LEVELS[0])
    looks: list[None] = []
    (value,) = executable.run([np.zeros(8), np.ones(8)], 8, lambda: looks.append(None))
    assert value.tolist() == [300_000.0] * 8
    assert len(looks) > 1

    def stop() -> None:
        message = "the caller left"
        raise Cancelled(message)

    with pytest.raises(Cancelled):
        executable.run([np.zeros(8), np.ones(8)], 8, stop)
