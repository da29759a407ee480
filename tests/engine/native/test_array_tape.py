"""The array tape: NumPy's values, whatever the batch, the block, the level, and whichever inputs all points share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from gradmill_server.engine.backends.native.array_tape import executable as executable_module
from gradmill_server.engine.backends.native.array_tape import linked as linked_module
from gradmill_server.engine.backends.native.array_tape.executable import ArrayTapeExecutable
from gradmill_server.engine.backends.native.array_tape.linked import POINTS_PER_SUM
from gradmill_server.engine.backends.native.array_tape.operations import arrays_run_natively
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.records import NATIVE_OPERATIONS
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.backends.results import ColumnResults, ResultGroup
from gradmill_server.engine.errors import Cancelled, LimitExceeded
from gradmill_server.engine.ir import FloatArray, Graph, GraphBuilder, Input, Output, size
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops import TABLE, emit

from tests.engine.building import no_checkpoint
from tests.engine.native.array_graphs import Array, groups_of, network, put, random_array_graph, whole_points
from tests.engine.native.guarded import GuardedWorkspace, guarded, guarded_copy
from tests.engine.native.running import (
    HOST_LEVELS,
    SPECIALS,
    arrays_of,
    assert_same,
    bits,
    by_columns,
    evaluated,
    tape_of,
)

BATCHES = (1, 3, 4, 5, 63, 64, 65, 1000)
IDS = [level.name for level in HOST_LEVELS]

pytestmark = pytest.mark.skipif(not HOST_LEVELS, reason="this processor runs none of the levels there is code for")


def array_tape(graph: Graph, level: Level | None = None, lanes: int | None = None) -> ArrayTapeExecutable:
    """Return a graph's array tape, each output by itself, on blocks of at most so many points."""
    return ArrayTapeExecutable(graph, groups_of(graph), level or HOST_LEVELS[0], widest=lanes)


def run(executable: ArrayTapeExecutable | NumpyExecutable, columns: Sequence[Array]) -> ColumnResults:
    """Evaluate to the end."""
    return executable.evaluate_columns(columns, max(map(len, columns)), Limits(), no_checkpoint)


def ordinary_points(seed: int, graph: Graph, rows: int) -> list[Array]:
    """Return points without special numbers."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(rows, *entry.shape)) for entry in graph.inputs]


def as_matrix(columns: Sequence[Array]) -> Array:
    """Return points as one matrix."""
    return np.ascontiguousarray(np.concatenate([column.reshape(len(column), -1) for column in columns], axis=1))


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_have_numpys_values(seed: int) -> None:
    """Whatever moves, adds up and multiplies arrays gives what NumPy gives, by input and as a matrix."""
    graph = random_array_graph(seed)
    assert arrays_run_natively(graph)
    columns = whole_points(seed, graph, 77)
    expected, _ = run(NumpyExecutable(graph, groups_of(graph)), columns)
    for level in HOST_LEVELS:
        executable = array_tape(graph, level)
        found, flags = run(executable, columns)
        assert_same([values for (values,) in found], [values for (values,) in expected])
        assert not flags.any()
        rows, flags = executable.evaluate_rows(as_matrix(columns), Limits(), no_checkpoint)
        assert_same(rows, [values for (values,) in expected])
        assert not flags.any()


@pytest.mark.parametrize("seed", range(8))
def test_bits_depend_on_the_point_alone(seed: int) -> None:
    """A point's values have the same bits in any batch, block and place, on any level and thread."""
    graph = random_array_graph(seed) if seed else network((5, 7, 3, 1), by_weights=True)
    columns = ordinary_points(seed, graph, max(BATCHES))
    whole = [values for (values,) in run(array_tape(graph), columns)[0]]
    with ThreadPoolExecutor(2) as threads:
        for level in HOST_LEVELS:
            for lanes, rows in itertools.product(level.block_lanes, BATCHES):
                executable = array_tape(graph, level, lanes)
                # The last points, so that a point has another place in each batch.
                batch = [column[-rows:] for column in columns]
                expected = bits([values[-rows:] for values in whole])
                for found in (run(executable, batch), *threads.map(run, [executable] * 2, [batch] * 2)):
                    assert bits([values for (values,) in found[0]]) == expected, (level.name, lanes, rows)


@pytest.mark.parametrize("seed", range(10))
def test_what_all_points_share_gives_the_same_bits(seed: int) -> None:
    """An input given once for all points gives the bits of one that is repeated for each, for any set of them."""
    graph = random_array_graph(100 + seed) if seed else network((4, 6, 1), by_weights=True)
    columns = ordinary_points(seed, graph, 70)
    for level, shared in itertools.product(HOST_LEVELS, itertools.product((False, True), repeat=4)):
        executable = array_tape(graph, level)
        chosen = dict(enumerate(shared))
        given = [column[:1] if chosen.get(place) else column for place, column in enumerate(columns)]
        if max(map(len, given)) == 1:
            continue
        repeated = [np.repeat(column, 70, axis=0) if len(column) == 1 else column for column in given]
        found, flags = run(executable, given)
        expected, repeated_flags = run(executable, repeated)
        assert bits([values for (values,) in found]) == bits([values for (values,) in expected]), shared
        assert flags.tolist() == repeated_flags.tolist()


def test_all_inputs_can_be_shared() -> None:
    """Where nothing differs from point to point, every point has the one result, and its mark."""
    graph = network((4, 6, 1), by_weights=True)
    columns = ordinary_points(1, graph, 1)
    executable = array_tape(graph)
    alone, _ = executable.evaluate_columns(columns, 1, Limits(), no_checkpoint)
    columns[0][0, 0] = np.nan
    for rows in (1, 70):
        found, flags = executable.evaluate_columns(columns, rows, Limits(), no_checkpoint)
        assert flags.tolist() == [1] * rows
        assert all(values.shape == (rows, *one.shape[1:]) for (values,), (one,) in zip(found, alone, strict=True))


@pytest.mark.parametrize("level", HOST_LEVELS, ids=IDS)
@pytest.mark.parametrize("name", sorted(NATIVE_OPERATIONS))
def test_a_map_has_the_bits_of_the_scalar_tape(name: str, level: Level) -> None:
    """Each element-wise operation, on arrays and with any operand shared, has the bits it has on the scalar tape."""
    arity = TABLE[name].arity
    random = np.random.default_rng(arity)
    elements = [np.append(random.uniform(low, high, 35), SPECIALS) for low, high in TABLE[name].domain]
    columns = [np.stack([np.roll(each, 7 * place + turn) for turn in range(70)]) for place, each in enumerate(elements)]
    scalars = GraphBuilder([Input(f"x{place}") for place in range(arity)])
    graph = scalars.build([Output("value", emit(scalars, name, range(arity)))])
    points = by_columns(graph, [column.ravel() for column in columns])
    arrays = GraphBuilder([Input(f"x{place}", (len(elements[0]),)) for place in range(arity)])
    wide = arrays.build([Output("value", emit(arrays, name, range(arity)))])
    (expected,) = arrays_of(evaluated(tape_of(graph, level), points))
    for lanes in level.block_lanes:
        ((found,),), _ = run(array_tape(wide, level, lanes), columns)
        assert bits([found.ravel()]) == bits([expected])
    executable = array_tape(wide, level)
    for shared in itertools.product((False, True), repeat=arity):
        if all(shared):
            continue
        given = [column[:1] if is_shared else column for column, is_shared in zip(columns, shared, strict=True)]
        spread = [np.broadcast_to(column, columns[0].shape).ravel() for column in given]
        (expected,) = arrays_of(evaluated(tape_of(graph, level), by_columns(graph, spread)))
        ((found,),), _ = run(executable, given)
        assert bits([found.ravel()]) == bits([expected]), shared


@pytest.mark.parametrize("pair", [("tanh", "sech"), ("sin", "cos"), ("erf", "exp_minus_square")])
def test_functions_computed_together_have_the_bits_of_each_alone(pair: tuple[str, str]) -> None:
    """Two functions of one array that are wanted together have the bits they have by themselves."""
    columns = [np.random.default_rng(0).normal(size=(70, 5)) * 3.0]
    found = []
    for wanted in (pair, pair[:1], pair[1:]):
        builder = GraphBuilder([Input("x", (5,))])
        graph = builder.build([Output(name, emit(builder, name, (0,))) for name in wanted])
        found.append([values for (values,) in run(array_tape(graph), columns)[0]])
    assert bits(found[0]) == bits([found[1][0], found[2][0]])


@pytest.mark.parametrize("by_weights", [False, True])
def test_a_network_has_numpys_value_and_gradient(*, by_weights: bool) -> None:
    """A network's value and gradient agree with NumPy's to a few units, weights shared or not."""
    graph = network((16, 32, 32, 1), by_weights=by_weights)
    columns = ordinary_points(0, graph, 100)
    for given in (columns, [columns[0], *[column[:1] for column in columns[1:]]]):
        expected, _ = run(NumpyExecutable(graph, groups_of(graph)), given)
        found, _ = run(array_tape(graph), given)
        for (have,), (want,) in zip(found, expected, strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-11, atol=1e-11)


def summed(executable: ArrayTapeExecutable, columns: Sequence[Array], groups: Sequence[int]) -> list[FloatArray]:
    """Return all results, those of some groups summed over the points."""
    found, _ = executable.evaluate_sums(columns, max(map(len, columns)), groups, Limits(), no_checkpoint)
    return [values for (values,) in found]


@pytest.mark.parametrize("seed", range(20))
def test_sums_over_points_of_whole_numbers_are_exact(seed: int) -> None:
    """Sums over points of random graphs are NumPy's sums, and results that are not summed are there as well."""
    graph = random_array_graph(200 + seed)
    columns = whole_points(seed, graph, 131)
    expected = [values for (values,) in run(NumpyExecutable(graph, groups_of(graph)), columns)[0]]
    chosen = [0, 2, 3]
    for level in HOST_LEVELS:
        found = summed(array_tape(graph, level), columns, chosen)
        wanted = [values.sum(axis=0) if place in chosen else values for place, values in enumerate(expected)]
        assert_same(found, wanted)


def test_sums_over_points_have_the_same_bits_however_they_are_made() -> None:
    """A sum over points depends on the points alone: not on the block, the level, or what is shared."""
    graph = network((5, 9, 6, 1), by_weights=True)
    rows = POINTS_PER_SUM + 1037
    points = ordinary_points(3, graph, rows)
    columns = [points[0], *[column[:1] for column in points[1:]]]
    every = range(len(graph.outputs))
    expected = bits(summed(array_tape(graph), columns, every))
    repeated = [np.repeat(column, rows, axis=0) if len(column) == 1 else column for column in columns]
    for level in HOST_LEVELS:
        assert bits(summed(array_tape(graph, level), repeated, every)) == expected
        for lanes in level.block_lanes:
            assert bits(summed(array_tape(graph, level, lanes), columns, every)) == expected
    reference, _ = run(NumpyExecutable(graph, groups_of(graph)), columns)
    for have, (want,) in zip(summed(array_tape(graph), columns, every), reference, strict=True):
        np.testing.assert_allclose(have, want.sum(axis=0), rtol=1e-10)


def test_an_output_that_steps_through_a_product_is_summed_in_its_order() -> None:
    """Transposed and cut sums of products are those of the product, transposed and cut."""
    builder = GraphBuilder([Input("x", (3, 2)), Input("y", (2, 4))])
    product = put(builder, "matrix_product", 0, 1)
    turned = put(builder, "transpose", product, axes=(1, 0))
    cut = put(builder, "slice", turned, starts=(3, 0), counts=(2, 3), steps=(-2, 1))
    outer = put(builder, "multiply", put(builder, "reshape", 0, shape=(6, 1)), put(builder, "reshape", 1, shape=(1, 8)))
    left, right = (put(builder, "reshape", 0, shape=shape) for shape in ((3, 2, 1), (3, 1, 2)))
    batch = put(builder, "multiply", left, right)
    flat = put(builder, "reshape", cut, shape=(6,))
    shown = {"cut": cut, "flat": flat, "outer": outer, "batch": batch}
    graph = builder.build([Output(name, node) for name, node in shown.items()])
    columns = whole_points(0, graph, 100)
    expected, _ = run(NumpyExecutable(graph, groups_of(graph)), columns)
    found = summed(array_tape(graph), columns, range(4))
    assert_same(found, [values.sum(axis=0) for (values,) in expected])


@pytest.mark.parametrize("strong", range(4))
def test_strong_zeros_of_products_meet_infinities_as_numpys_do(strong: int) -> None:
    """Zeros of a strong side of a matrix product give zero beside infinities and NaN, in results and in sums."""
    builder = GraphBuilder([Input("x", (3, 5)), Input("y", (5, 6))])
    given: dict[str, int] = {"strong": strong} if strong else {}
    node = put(builder, "matrix_product", 0, 1, **given)
    graph = builder.build([Output("value", node), Output("turned", put(builder, "transpose", node, axes=(1, 0)))])
    random = np.random.default_rng(strong)
    rows = 130
    columns = [
        random.choice([0.0, 1.0, -2.0, np.inf, np.nan], (rows, *entry.shape), p=[0.5, 0.2, 0.2, 0.05, 0.05])
        for entry in graph.inputs
    ]
    for level in HOST_LEVELS:
        for given_columns in (columns, [columns[0][:1], columns[1]], [columns[0], columns[1][:1]]):
            expected, marked = run(NumpyExecutable(graph, groups_of(graph)), given_columns)
            found, flags = run(array_tape(graph, level), given_columns)
            assert_same([values for (values,) in found], [values for (values,) in expected])
            assert flags.tolist() == marked.tolist()
            with np.errstate(invalid="ignore"):
                totals = [values.sum(axis=0) for (values,) in expected]
            assert_same(summed(array_tape(graph, level), given_columns, range(2)), totals)


@pytest.mark.parametrize("name", ["multiply", "strong_product", "mutual_product"])
def test_strong_zeros_of_outer_products_are_summed_as_numpy_does(name: str) -> None:
    """Sums over points of products of each element with each know strong zeros, whichever operand is the column."""
    builder = GraphBuilder([Input("x", (5, 1)), Input("y", (6,))])
    graph = builder.build([Output("one", emit(builder, name, (0, 1))), Output("other", emit(builder, name, (1, 0)))])
    random = np.random.default_rng(1)
    columns = [
        random.choice([0.0, 1.0, -2.0, np.inf], (130, *entry.shape), p=[0.6, 0.2, 0.15, 0.05]) for entry in graph.inputs
    ]
    expected, _ = run(NumpyExecutable(graph, groups_of(graph)), columns)
    with np.errstate(invalid="ignore"):
        totals = [values.sum(axis=0) for (values,) in expected]
    for level in HOST_LEVELS:
        assert_same(summed(array_tape(graph, level), columns, range(2)), totals)


@pytest.fixture
def fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scratch and results end where forbidden memory begins."""
    monkeypatch.setattr(linked_module, "take_workspace", GuardedWorkspace)
    monkeypatch.setattr(linked_module, "give_back", lambda _workspace: None)
    monkeypatch.setattr(executable_module, "_empty", guarded)


@pytest.mark.usefixtures("fenced")
@pytest.mark.parametrize("seed", range(12))
def test_nothing_beyond_its_memory_is_touched(seed: int) -> None:
    """With forbidden pages behind points, results and scratch, every graph runs at every size and width."""
    graph = random_array_graph(300 + seed) if seed else network((5, 6, 1), by_weights=True)
    for level, rows in itertools.product(HOST_LEVELS, (1, 7, 8, 9, 64, 65)):
        columns = [guarded_copy(column) for column in whole_points(seed, graph, rows)]
        expected = [values for (values,) in run(NumpyExecutable(graph, groups_of(graph)), columns)[0]]
        for lanes in level.block_lanes:
            executable = array_tape(graph, level, lanes)
            found, _ = run(executable, columns)
            summed(executable, columns, range(len(graph.outputs)))
            matrix, _ = executable.evaluate_rows(guarded_copy(as_matrix(columns)), Limits(), no_checkpoint)
            if seed:
                assert_same([values for (values,) in found], expected)
                assert_same(matrix, expected)


@pytest.mark.parametrize("count", [*range(1, 20), 31])
def test_any_number_of_columns_goes_in_and_out(count: int) -> None:
    """However many elements an array has, and whatever lies beside it, each comes out where it went in."""
    builder = GraphBuilder([Input("x", (count,)), Input("y", (3,))])
    graph = builder.build([Output("x", 0), Output("y", 1)])
    row = [ResultGroup(1, ((count,), (3,)), is_row=True)]
    for level, rows in itertools.product(HOST_LEVELS, (1, 7, 8, 9, 17, 63, 64, 65, 200)):
        columns = ordinary_points(rows, graph, rows)
        found, flags = run(array_tape(graph, level), columns)
        assert bits([values for (values,) in found]) == bits(columns)
        together = ArrayTapeExecutable(graph, row, level)
        (matrix,), _ = together.evaluate_rows(as_matrix(columns), Limits(), no_checkpoint)
        assert bits([matrix]) == bits([as_matrix(columns)])
        assert not flags.any()


def test_a_point_that_is_not_finite_is_marked_and_no_other() -> None:
    """Infinite and NaN elements mark their own point; numbers so large that their sum overflows mark none."""
    builder = GraphBuilder([Input("x", (2, 9)), Input("y")])
    graph = builder.build([Output("x", 0), Output("y", 1)])
    columns = [np.full((150, 2, 9), 1e308), np.full(150, -1e308)]
    columns[0][7, 1, 3], columns[0][70, 0, 8], columns[1][149] = np.inf, np.nan, -np.inf
    groups = [ResultGroup(1, ((2, 9),), is_row=False), ResultGroup(2, ((),), is_row=False)]
    for level in HOST_LEVELS:
        executable = ArrayTapeExecutable(graph, groups, level)
        for _, flags in (
            run(executable, columns),
            executable.evaluate_rows(as_matrix(columns), Limits(), no_checkpoint),
        ):
            assert {int(place): int(flags[place]) for place in np.flatnonzero(flags)} == {7: 1, 70: 1, 149: 2}


def test_no_points_give_no_results() -> None:
    """An empty batch has empty results, and sums of nothing are zero."""
    graph = network((3, 4, 1), by_weights=True)
    executable = array_tape(graph)
    columns = [np.empty((0, *entry.shape)) for entry in graph.inputs]
    found, _ = executable.evaluate_columns(columns, 0, Limits(), no_checkpoint)
    assert all(len(values) == 0 for (values,) in found)
    (totals,) = executable.evaluate_sums(columns, 0, [1], Limits(), no_checkpoint)[0][1]
    assert totals.tolist() == np.zeros((3, 4)).tolist()


def test_points_of_another_shape_are_refused() -> None:
    """Points that would be read beyond their end never reach machine code."""
    graph = network((3, 4, 1), by_weights=False)
    executable = array_tape(graph)
    columns = ordinary_points(0, graph, 4)
    with pytest.raises(ValueError, match="points have shape"):
        executable.evaluate_rows(np.zeros((4, 2)), Limits(), no_checkpoint)
    for wrong in ([columns[0][:, :2], *columns[1:]], [columns[0][:2], *columns[1:]], columns[:-1]):
        with pytest.raises(ValueError, match="points have shape"):
            executable.evaluate_columns(wrong, 4, Limits(), no_checkpoint)


def test_a_graph_too_large_for_the_scratch_is_refused() -> None:
    """When the narrowest block does not fit, the refusal names the knob."""
    graph = network((16, 32, 1), by_weights=False)
    limits = replace(Limits(), maximum_scratch_bytes=1_000)
    with pytest.raises(LimitExceeded, match="maximum_scratch_bytes"):
        array_tape(graph).evaluate_columns(ordinary_points(0, graph, 10), 10, limits, no_checkpoint)


def _repeated_products(times: int, extent: int) -> Graph:
    builder = GraphBuilder([Input("x", (extent, extent)), Input("y", (extent, extent))])
    node = 0
    for _ in range(times):
        node = put(builder, "matrix_product", node, 1)
    return builder.build([Output("value", put(builder, "sum", node, axes=(0, 1)))])


@pytest.mark.parametrize("make", [lambda: _repeated_products(40, 40), lambda: _repeated_products(1, 150)])
def test_a_long_run_looks_up_and_can_be_stopped(make: object) -> None:
    """Large products, many or one, are run in slices, and a checkpoint that raises ends the run between two of them."""
    assert callable(make)
    graph = make()
    executable = array_tape(graph)
    columns = ordinary_points(0, graph, 64)
    looks: list[None] = []
    executable.evaluate_columns(columns, 64, Limits(), lambda: looks.append(None))
    assert len(looks) > 3

    def stop() -> None:
        if len(looks) > 1:
            message = "the caller left"
            raise Cancelled(message)

    with pytest.raises(Cancelled):
        executable.evaluate_columns(columns, 64, Limits(), stop)


def test_threads_share_a_tape() -> None:
    """Two threads that run one executable with different inputs shared do not disturb one another."""
    graph = network((6, 8, 1), by_weights=True)
    executable = array_tape(graph)
    batches = [ordinary_points(seed, graph, 300) for seed in range(16)]
    given = [
        [column[:1] if place % (2 + seed % 3) else column for place, column in enumerate(batch)]
        for seed, batch in enumerate(batches)
    ]
    alone = [bits([values for (values,) in run(executable, batch)[0]]) for batch in given]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda batch: bits([values for (values,) in run(executable, batch)[0]]), given))
    assert together == alone


def test_a_checkpoint_may_evaluate() -> None:
    """A run begun within another one's checkpoint, on the same thread, disturbs neither."""
    graph = network((6, 8, 1), by_weights=False)
    executable = array_tape(graph)
    columns = ordinary_points(0, graph, 20_000)
    expected = bits([values for (values,) in run(executable, columns)[0]])
    inner = [column[:100] for column in columns]
    found: list[list[bytes]] = []

    def evaluate_another() -> None:
        found.append(bits([values for (values,) in run(executable, inner)[0]]))

    disturbed, _ = executable.evaluate_columns(columns, 20_000, Limits(), evaluate_another)
    assert bits([values for (values,) in disturbed]) == expected
    assert len(found) > 1
    assert all(each == found[0] for each in found)


def test_only_a_few_variants_are_kept() -> None:
    """However many sets of inputs are shared one after the other, memory stays bounded, and the results right."""
    builder = GraphBuilder([Input(f"x{place}", (2,)) for place in range(6)])
    node = 0
    for place in range(1, 6):
        node = emit(builder, "add", (node, place))
    graph = builder.build([Output("value", node)])
    executable = array_tape(graph)
    columns = whole_points(0, graph, 9)
    for shared in itertools.product((False, True), repeat=6):
        if all(shared):
            continue
        given = [column[:1] if is_shared else column for column, is_shared in zip(columns, shared, strict=True)]
        ((found,),), _ = run(executable, given)
        assert found.tolist() == np.broadcast_to(sum(given), (9, 2)).tolist()
    assert len(executable._variants) <= executable_module.VARIANTS  # noqa: SLF001 - what is bounded


def test_large_inputs_of_a_single_point_take_no_lanes() -> None:
    """At one point large weights are read where they are, with the bits that they have among others."""
    graph = network((40, 50, 1), by_weights=False)
    columns = ordinary_points(0, graph, 9)
    executable = array_tape(graph)
    alone = [values for (values,) in run(executable, [column[4:5] for column in columns])[0]]
    among = [values[4:5] for (values,) in run(executable, columns)[0]]
    assert bits(alone) == bits(among)
    assert any(key[0][1] for key in executable._variants)  # noqa: SLF001 - the first weights were uniform


def test_weights_that_all_points_share_take_no_lanes() -> None:
    """Shared weights are read where they are: the tape for them needs far fewer slots than with weights by point."""
    graph = network((16, 32, 32, 1), by_weights=False)
    executable = array_tape(graph)
    columns = ordinary_points(0, graph, 70)
    run(executable, [columns[0], *[column[:1] for column in columns[1:]]])
    *_, shared = executable._variants.values()  # noqa: SLF001 - what is measured
    weights = sum(size(entry.shape) for entry in graph.inputs[1:])
    assert shared.point.tape.slots < 200 < weights < executable.slots
