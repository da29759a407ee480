"""The tape machine: exact arithmetic has NumPy's bits, whatever the batch, the block, the thread or the level."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gradmill_server.engine.backends.native import tape as tape_module
from gradmill_server.engine.backends.native.addresses import address_of
from gradmill_server.engine.backends.native.assembler import assemble
from gradmill_server.engine.backends.native.frame import PAUSED
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.records import BOTH, END, NATIVE_OPERATIONS, PAUSE
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.backends.results import ResultGroup
from gradmill_server.engine.errors import Cancelled
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops import TABLE, emit

from tests.engine.building import addition_chain, no_checkpoint, random_graph
from tests.engine.native.running import (
    HOST_LEVELS,
    SPECIALS,
    arrays_of,
    as_row,
    assert_same,
    awkward_points,
    bits,
    by_columns,
    by_matrix,
    evaluate,
    evaluated,
    limited_to,
    one_by_one,
    tape_of,
    with_gradients,
)

EXACT = sorted(
    {"add", "subtract", "multiply", "divide", "negate", "sqrt", "abs", "relu", "maximum", "minimum", "fmax", "fmin"}
    | {"clip", "where", "sign", "floor", "ceil", "round", "less", "less_equal", "greater", "greater_equal", "equal"}
    | {"not_equal", "logical_and", "logical_or", "logical_not", "strong_product"}
)
"""The operations whose every result IEEE 754 fixes to the bit."""

BATCHES = (1, 3, 4, 5, 63, 64, 65, 1000)

pytestmark = pytest.mark.skipif(not HOST_LEVELS, reason="this processor runs none of the levels there is code for")


def exact_function(seed: int, operations: int = 120, inputs: int = 4) -> Graph:
    """Return a random function of exact operations, with its gradient, as outputs of one graph."""
    random = np.random.default_rng(seed)
    builder = GraphBuilder([Input(f"x{place}") for place in range(inputs)])
    pool = [*range(inputs), builder.constant(0.75), builder.constant(-1.5)]
    smooth = [name for name in EXACT if TABLE[name].partials[-1] is not None and not TABLE[name].internal]
    for _ in range(operations):
        name = str(random.choice(smooth if random.random() < 0.8 else EXACT))
        pool.append(emit(builder, name, [int(random.choice(pool[-20:])) for _ in range(TABLE[name].arity)]))
    return with_gradients(builder.build([Output("value", pool[-1])]))


@pytest.mark.parametrize("level", HOST_LEVELS, ids=[level.name for level in HOST_LEVELS])
@pytest.mark.parametrize("name", EXACT)
def test_an_exact_operation_gives_what_numpy_gives(name: str, level: Level) -> None:
    """Each operation that IEEE 754 fixes has NumPy's value at every combination of awkward operands."""
    assert name in NATIVE_OPERATIONS
    arity = TABLE[name].arity
    builder = GraphBuilder([Input(f"x{place}") for place in range(arity)])
    graph = builder.build([Output("value", emit(builder, name, range(arity)))])
    columns = [column.ravel() for column in np.meshgrid(*[np.array(SPECIALS)] * arity)]
    points = by_columns(graph, columns)
    expected = evaluated(NumpyExecutable(graph, one_by_one(graph)), points)
    assert_same(arrays_of(evaluated(tape_of(graph, level), points)), arrays_of(expected))


@pytest.mark.parametrize("seed", range(20))
def test_exact_functions_and_their_gradients_have_numpys_values(seed: int) -> None:
    """Values, slopes and marks of a function of exact operations are NumPy's, however its points come."""
    graph = exact_function(seed)
    columns = awkward_points(seed, len(graph.inputs), 333)
    reference = NumpyExecutable(graph, as_row(graph))
    for level, arrange in itertools.product(HOST_LEVELS, (by_columns, by_matrix)):
        points = arrange(graph, columns)
        found, expected = evaluated(tape_of(graph, level, as_row(graph)), points), evaluated(reference, points)
        assert_same(arrays_of(found), arrays_of(expected))
        assert found[1].tolist() == expected[1].tolist()


@pytest.mark.parametrize("seed", range(12))
def test_bits_depend_on_the_point_alone(seed: int) -> None:
    """A point's values and slopes have the same bits in any batch, block and place, on any level and thread."""
    graph = with_gradients(random_graph(seed, operations=60, outputs=3))
    columns = awkward_points(seed, len(graph.inputs), max(BATCHES))
    whole = arrays_of(evaluated(tape_of(graph, HOST_LEVELS[0]), by_columns(graph, columns)))
    with ThreadPoolExecutor(2) as threads:
        for level in HOST_LEVELS:
            executable = tape_of(graph, level)
            for lanes, rows, arrange in itertools.product(level.block_lanes, BATCHES, (by_columns, by_matrix)):
                limits = limited_to(executable, lanes)
                # The last points, so that a point has another place in each batch.
                batch = arrange(graph, [column[-rows:] for column in columns])
                runs = [(executable, batch, limits)] * 2
                expected = bits([values[-rows:] for values in whole])
                for found in (evaluated(*runs[0]), *threads.map(evaluated, *zip(*runs, strict=True))):
                    assert bits(arrays_of(found)) == expected, (level.name, lanes, rows)


@pytest.mark.parametrize("arrange", [by_columns, by_matrix])
@pytest.mark.parametrize("count", [*range(1, 20), 24, 31])
def test_any_number_of_columns_goes_in_and_out(count: int, arrange: object) -> None:
    """However many inputs and results there are, each result is that of its own input, in batches of any size."""
    builder = GraphBuilder([Input(f"x{place}") for place in range(count)])
    doubled = [emit(builder, "add", (place, place)) for place in range(count)]
    graph = builder.build([Output(f"r{place}", node) for place, node in enumerate(doubled)])
    for level, rows in itertools.product(HOST_LEVELS, (1, 7, 8, 9, 16, 17, 63, 64, 65, 200)):
        columns = list(np.random.default_rng(rows).normal(size=(count, rows)))
        points = by_columns(graph, columns) if arrange is by_columns else by_matrix(graph, columns)
        found = evaluated(tape_of(graph, level, as_row(graph)), points)
        expected = [2.0 * np.column_stack(columns)] if points.is_matrix else [2.0 * column for column in columns]
        assert bits(arrays_of(found)) == bits(expected)
        assert not found[1].any()


def test_a_point_that_is_not_finite_is_marked_and_no_other() -> None:
    """Infinite and NaN results mark their own point; numbers so large that their sum overflows mark none."""
    graph = GraphBuilder([Input(f"x{place}") for place in range(9)]).build(
        [Output(f"r{place}", place) for place in range(9)]
    )
    rows = 150
    matrix = np.full((rows, 9), 1e308)
    matrix[7, 3], matrix[70, 8], matrix[149, 0] = np.inf, np.nan, -np.inf
    for level, arrange in itertools.product(HOST_LEVELS, (by_columns, by_matrix)):
        found = evaluated(tape_of(graph, level, as_row(graph)), arrange(graph, list(matrix.T)))
        assert np.flatnonzero(found[1]).tolist() == [7, 70, 149]


def test_inputs_and_constants_can_be_results() -> None:
    """A result that is no operation is given for every point."""
    builder = GraphBuilder([Input("x"), Input("y")])
    graph = builder.build([Output("same", 1), Output("two", builder.constant(2.0)), Output("again", 1)])
    for level, rows in itertools.product(HOST_LEVELS, (1, 100)):
        columns = awkward_points(0, 2, rows)
        found = arrays_of(evaluated(tape_of(graph, level), by_columns(graph, columns)))
        assert bits(found) == bits([columns[1], np.full(rows, 2.0), columns[1]])


def test_no_points_give_no_results() -> None:
    """An empty batch has empty results."""
    graph = exact_function(3)
    found = evaluated(tape_of(graph, HOST_LEVELS[0]), by_columns(graph, [np.empty(0)] * len(graph.inputs)))
    assert [values.shape for values in arrays_of(found)] == [(0,)] * len(graph.outputs)


def test_threads_share_a_tape() -> None:
    """Two threads that run one tape at different points do not disturb one another."""
    graph = exact_function(1, operations=400)
    executable = tape_of(graph, HOST_LEVELS[0])
    batches = [by_columns(graph, awkward_points(seed, len(graph.inputs), 3_000)) for seed in range(16)]
    alone = [bits(arrays_of(evaluated(executable, batch))) for batch in batches]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda batch: bits(arrays_of(evaluated(executable, batch))), batches))
    assert together == alone


def test_a_shared_input_is_one_number_for_all_points() -> None:
    """An input given once holds for every point."""
    graph = exact_function(2)
    columns = awkward_points(3, len(graph.inputs), 100)
    spread = [np.full(100, columns[0][0]), *columns[1:]]
    executable = tape_of(graph, HOST_LEVELS[0])
    shared = evaluated(executable, by_columns(graph, [columns[0][:1], *columns[1:]]))
    assert bits(arrays_of(shared)) == bits(arrays_of(evaluated(executable, by_columns(graph, spread))))


def test_read_only_and_strided_points_are_read_where_they_lie() -> None:
    """Points need be neither writable nor contiguous, and are never written to."""
    graph = exact_function(4)
    matrix = np.random.default_rng(0).normal(size=(100, 2 * len(graph.inputs)))[:, ::2]
    matrix.setflags(write=False)
    executable = tape_of(graph, HOST_LEVELS[0])
    found = evaluated(executable, by_columns(graph, list(matrix.T)))
    expected = evaluated(executable, by_columns(graph, [column.copy() for column in matrix.T]))
    assert bits(arrays_of(found)) == bits(arrays_of(expected))


def test_a_long_tape_looks_up_and_can_be_stopped() -> None:
    """A tape of 300,000 records is run in slices, and a checkpoint that raises ends it between two of them."""
    graph = addition_chain(300_000)
    executable = tape_of(graph, HOST_LEVELS[0])
    looks: list[None] = []
    points = by_columns(graph, [np.zeros(8), np.ones(8)])
    found = evaluate(executable, points, Limits(), lambda: looks.append(None))
    assert arrays_of(found)[0].tolist() == [150_000.0] * 8
    assert len(looks) > 1

    def stop() -> None:
        message = "the caller left"
        raise Cancelled(message)

    with pytest.raises(Cancelled):
        evaluate(executable, points, Limits(), stop)


def test_a_large_batch_looks_up_between_slices() -> None:
    """A batch of a million points of a small function is not one uninterruptible call."""
    graph = exact_function(5)
    looks: list[None] = []
    points = by_columns(graph, [np.zeros(1_000_000)] * len(graph.inputs))
    evaluate(tape_of(graph, HOST_LEVELS[0]), points, Limits(), lambda: looks.append(None))
    assert len(looks) > 10


def _dot_product(terms: int) -> Graph:
    """Return the sum of terms of two inputs and constants, whose every other operation is joined with its user."""
    builder = GraphBuilder([Input("x"), Input("y")])
    total = builder.constant(0.0)
    for place in range(terms):
        product = emit(builder, "multiply", (place % 2, builder.constant(1.0 + place)))
        total = emit(builder, "add", (total, product))
    return builder.build([Output("value", total)])


def _sines_and_cosines(count: int) -> Graph:
    builder = GraphBuilder([Input(f"x{place}") for place in range(count)])
    nodes = [emit(builder, name, (place,)) for place in range(count) for name in ("sin", "cos")]
    return builder.build([Output("", node) for node in nodes])


def _identity(count: int) -> Graph:
    builder = GraphBuilder([Input(f"x{place}") for place in range(count)])
    return builder.build([Output("", place) for place in range(count)])


LONG = {
    "a chain": lambda: addition_chain(100_000),
    "joined pairs": lambda: _dot_product(50_000),
    "functions computed together": lambda: _sines_and_cosines(20_000),
    "inputs as results": lambda: _identity(100_000),
}


@pytest.mark.parametrize("make", LONG.values(), ids=list(LONG))
def test_a_long_tape_of_any_kind_can_be_left_on_the_way(make: Callable[[], Graph]) -> None:
    """Whatever records a tape is made of, assembling it looks up, and it has places where a run may stop."""
    graph = make()
    looks: list[None] = []
    tape = assemble(graph, [len(graph.outputs)], lambda: looks.append(None))
    kinds = tape.words[tape.begins]
    pauses = np.flatnonzero((kinds == PAUSE) | (kinds == END))
    assert np.diff([0, *pauses.tolist()]).max() < 3_000
    assert len(looks) >= len(kinds) / 3_000


def test_a_checkpoint_may_evaluate() -> None:
    """A run begun within another one's checkpoint, on the same thread, disturbs neither."""
    graph, other = exact_function(6), exact_function(7)
    outer, inner = tape_of(graph, HOST_LEVELS[0]), tape_of(other, HOST_LEVELS[0])
    points = by_columns(graph, awkward_points(1, len(graph.inputs), 500_000))
    inner_points = by_columns(other, awkward_points(2, len(other.inputs), 300))
    expected = bits(arrays_of(evaluated(inner, inner_points)))
    found: list[list[bytes]] = []

    def evaluate_another() -> None:
        found.append(bits(arrays_of(evaluated(inner, inner_points))))

    disturbed = bits(arrays_of(evaluate(outer, points, Limits(), evaluate_another)))
    assert disturbed == bits(arrays_of(evaluated(outer, points)))
    assert len(found) > 1
    assert all(each == expected for each in found)


def test_arrays_can_be_told_by_their_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an object does not say where its elements are, arrays are found by asking NumPy, with the same bits."""
    graph = exact_function(8)
    executable = tape_of(graph, HOST_LEVELS[0], as_row(graph))
    columns = awkward_points(3, len(graph.inputs), 75)
    batches = [by_columns(graph, columns), by_matrix(graph, columns)]
    expected = [bits(arrays_of(evaluated(executable, batch))) for batch in batches]
    monkeypatch.setattr(tape_module, "LOCATE", address_of)
    monkeypatch.setattr(tape_module, "UNRUN", PAUSED)
    assert [bits(arrays_of(evaluated(executable, batch))) for batch in batches] == expected


def test_points_of_another_shape_are_refused() -> None:
    """Points that would be read beyond their end never reach machine code."""
    graph = exact_function(9)
    executable = tape_of(graph, HOST_LEVELS[0])
    count = len(graph.inputs)
    with pytest.raises(ValueError, match="points have shape"):
        executable.evaluate_rows(np.zeros((4, count - 1)), Limits(), no_checkpoint)
    for columns in ([np.zeros(4)] * (count - 1), [*[np.zeros(4)] * (count - 1), np.zeros(2)]):
        with pytest.raises(ValueError, match="points have shape"):
            executable.evaluate_columns(columns, 4, Limits(), no_checkpoint)
    with pytest.raises(ValueError, match="one column"):
        tape_of(graph, HOST_LEVELS[0], [ResultGroup(1, ((), ()), is_row=False)])


def test_what_makes_tapes_fast_is_there() -> None:
    """Pairs of functions take one record, as do pairs of cheap operations, and long sums hold few values."""
    sines = assemble(_sines_and_cosines(4), [8])
    assert np.count_nonzero(sines.words[sines.begins] == BOTH["sin", "cos"]) == 4
    joined = assemble(_dot_product(50), [1])
    assert len(joined.begins) < 60
    builder = GraphBuilder([Input(f"x{place}") for place in range(300)])
    total = builder.constant(0.0)
    for place in range(300):
        total = emit(builder, "add", (total, emit(builder, "exp", (emit(builder, "sin", (place,)),))))
    assert assemble(builder.build([Output("value", total)]), [1]).slots < 50
