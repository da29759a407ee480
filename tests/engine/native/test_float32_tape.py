"""The tape machine in float32: NumPy's values, rounded once, whatever the batch, the block and the layout."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gradmill_server.engine.backends.choice import Road, executable, road
from gradmill_server.engine.backends.native.levels import Level, host_level
from gradmill_server.engine.backends.native.records import NATIVE_OPERATIONS
from gradmill_server.engine.backends.native.tape import stride_of
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.backends.results import ResultGroup
from gradmill_server.engine.backends.unrolled import UnrolledExecutable
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import Graph, GraphBuilder, Input, Output
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops import TABLE, emit
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.program import Options, compile_program
from gradmill_server.engine.wants import Kind, resolve_want

from tests.engine.building import no_checkpoint, random_graph
from tests.engine.native.running import (
    FLAG,
    HOST_LEVELS,
    Array,
    arrays_of,
    as_row,
    assert_same,
    awkward_points,
    bits,
    by_columns,
    by_matrix,
    evaluated,
    one_by_one,
    tape_of,
    with_gradients,
)

FLOAT32 = ElementType.FLOAT32
SPECIALS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-45, -1e-45, 3e38, np.inf, -np.inf, np.nan)
LARGEST_UNITS = 1
"""How many units in the last place a value may be from NumPy's, as float64's functions, which are rounded, differ."""


def in_float32(graph: Graph) -> Graph:
    """Return a graph with inputs of float32, all else rounded to it."""
    builder = GraphBuilder([entry._replace(element_type=FLOAT32) for entry in graph.inputs])
    number = list(range(len(graph.inputs)))
    for node in graph.nodes[len(number) :]:
        if node.is_constant:
            number.append(builder.constant(node.constant_array()))
        else:
            number.append(emit(builder, node.operation, [number[argument] for argument in node.arguments]))
    return builder.build([Output(entry.name, number[entry.node]) for entry in graph.outputs])


def narrow(columns: list[Array]) -> list[Array]:
    """Return columns of points as float32."""
    with np.errstate(over="ignore"):
        return [column.astype(np.float32) for column in columns]


def single(name: str) -> Graph:
    """Return the graph of one operation of inputs of its own."""
    builder = GraphBuilder([Input(f"x{place}", (), FLOAT32) for place in range(TABLE[name].arity)])
    return builder.build([Output("value", emit(builder, name, range(TABLE[name].arity)))])


def copies(inputs: int) -> Graph:
    """Return the graph that gives each input back, and its negative."""
    builder = GraphBuilder([Input(f"x{place}", (), FLOAT32) for place in range(inputs)])
    nodes = [*range(inputs), *[emit(builder, "negate", (place,)) for place in range(inputs)]]
    return builder.build([Output(f"y{place}", node) for place, node in enumerate(nodes)])


@pytest.mark.parametrize("level", HOST_LEVELS, ids=[level.name for level in HOST_LEVELS])
def test_a_vector_has_twice_the_lanes(level: Level) -> None:
    """Blocks of float32 are as many bytes as those of float64, and the level has a name of its own for the cache."""
    half = level.of(FLOAT32)
    assert (half.width, half.function_width) == (2 * level.width, level.width)
    assert half.block_lanes[-1] == 2 * level.block_lanes[-1]
    assert stride_of(half.block_lanes[-1], FLOAT32.size) == stride_of(level.block_lanes[-1])
    assert half.name != level.name
    assert half.of(FLOAT32) is half
    assert level.of(ElementType.FLOAT64) is level


@pytest.mark.parametrize("level", HOST_LEVELS, ids=[level.name for level in HOST_LEVELS])
@pytest.mark.parametrize("name", sorted(NATIVE_OPERATIONS))
def test_an_operation_agrees_with_numpy(name: str, level: Level) -> None:
    """Arithmetic, comparison and choice have NumPy's values, the rest is a unit in the last place away at most."""
    special = np.array(list(itertools.product(SPECIALS, repeat=TABLE[name].arity)))
    random = np.random.default_rng(7)
    ordinary = np.stack([random.uniform(low, high, 2_000) for low, high in TABLE[name].domain], axis=1)
    graph, columns = single(name), narrow(list(np.concatenate([special, ordinary]).T))
    points = by_columns(graph, columns)
    (native,) = arrays_of(evaluated(tape_of(graph, level), points))
    (reference,) = arrays_of(evaluated(NumpyExecutable(graph, one_by_one(graph)), points))
    assert native.dtype == np.float32
    if TABLE[name].direct:
        np.testing.assert_array_equal(native, reference)
        return
    with np.errstate(invalid="ignore"):
        close = np.abs(native - reference) <= LARGEST_UNITS * np.spacing(np.abs(reference))
    agree = close | (native == reference) | (np.isnan(native) & np.isnan(reference))
    assert agree.all(), [(*(column[at] for column in columns), native[at], reference[at]) for at in np.where(~agree)[0]]


@pytest.mark.parametrize("level", HOST_LEVELS, ids=[level.name for level in HOST_LEVELS])
@pytest.mark.parametrize("seed", range(12))
def test_bits_depend_on_nothing_but_the_point(seed: int, level: Level) -> None:
    """Each point alone, in any batch, in either layout and in blocks of any width has the same bits, and flags."""
    graph = in_float32(with_gradients(random_graph(seed)))
    columns = narrow(awkward_points(seed, len(graph.inputs), 301))
    tape = tape_of(graph, level, as_row(graph))
    whole, flags = tape.evaluate_rows(np.column_stack(columns), Limits(), no_checkpoint)
    by_input = np.column_stack(arrays_of(evaluated(tape_of(graph, level), by_columns(graph, columns))))
    assert bits([by_input]) == bits(whole)
    for lanes in level.of(FLOAT32).block_lanes:
        limits = Limits(maximum_scratch_bytes=tape.slots * stride_of(lanes, FLOAT32.size))
        assert bits(tape.evaluate_rows(np.column_stack(columns), limits, no_checkpoint)[0]) == bits(whole)
    for start, stop in ((0, 1), (7, 8), (300, 301), (5, 22), (100, 229)):
        part = [column[start:stop] for column in columns]
        some, some_flags = tape.evaluate_rows(np.column_stack(part), Limits(), no_checkpoint)
        assert bits(some) == bits([whole[0][start:stop]])
        np.testing.assert_array_equal(some_flags, flags[start:stop])
    assert not flags[np.isfinite(whole[0]).all(axis=1)].any()
    assert flags[~np.isfinite(whole[0]).all(axis=1)].all()


@pytest.mark.parametrize("level", HOST_LEVELS, ids=[level.name for level in HOST_LEVELS])
@pytest.mark.parametrize("inputs", [*range(1, 13), 17, 20, 31])
def test_rows_of_any_number_of_columns_are_read_and_written(inputs: int, level: Level) -> None:
    """Every element of a matrix comes from and goes to its place, at batches round the width of a block."""
    graph = copies(inputs)
    tape = tape_of(graph, level, as_row(graph))
    for rows in (1, 15, 16, 17, 64, 127, 128, 129, 300):
        matrix = np.arange(rows * inputs, dtype=np.float32).reshape(rows, inputs) + np.float32(0.5)
        points = by_matrix(graph, list(matrix.T))
        (found,) = arrays_of(evaluated(tape, points))
        np.testing.assert_array_equal(found, np.concatenate([matrix, -matrix], axis=1))


@pytest.mark.parametrize("seed", range(8))
def test_shared_inputs_and_single_columns(seed: int) -> None:
    """An input that all points share is read once, and a result by itself is one array."""
    level = HOST_LEVELS[0]
    graph = in_float32(random_graph(seed))
    columns = narrow(awkward_points(seed, len(graph.inputs), 77))
    shared = [columns[0][:1], *columns[1:]]
    spread = [np.repeat(columns[0][:1], 77), *columns[1:]]
    first = arrays_of(evaluated(tape_of(graph, level), by_columns(graph, shared)))
    assert bits(first) == bits(arrays_of(evaluated(tape_of(graph, level), by_columns(graph, spread))))


def test_functions_of_float32_run_natively_arrays_unrolled() -> None:
    """Small arrays of float32 are unrolled like those of float64; large ones run by NumPy."""
    level = host_level()
    if level is None:
        pytest.skip("no machine code for this processor")
    declared = [Input("x", (5,), FLOAT32)]
    graph = parse_formula("sum(exp(x[1:])*sin(x[:-1])**2)", declared, Limits())
    assert road(graph) is Road.SCALARS
    wants = tuple(resolve_want(graph, kind, (), ()) for kind in (Kind.VALUE, Kind.GRADIENT, Kind.HESSIAN))
    program = compile_program(graph, wants, Options(), Limits())
    large = parse_formula("sum(tanh(x @ w))", [Input("x", (64,), FLOAT32), Input("w", (64, 64), FLOAT32)], Limits())
    assert road(expand(large)) in {Road.SCALARS, Road.NUMPY}
    groups = [ResultGroup(FLAG, ((),), is_row=False)]
    assert isinstance(executable(expand(large), groups, by=Road.ARRAYS), NumpyExecutable)
    assert isinstance(executable(graph, groups, by=Road.SCALARS), UnrolledExecutable)
    matrix = np.random.default_rng(1).uniform(-1.0, 1.0, (50, 5)).astype(np.float32)
    native = program.evaluate(by_matrix(graph, list(matrix.T)), Limits(), no_checkpoint)
    wide = parse_formula("sum(exp(x[1:])*sin(x[:-1])**2)", [Input("x", (5,))], Limits())
    reference = compile_program(wide, wants, Options(), Limits()).evaluate(
        by_matrix(wide, list(matrix.astype(np.float64).T)), Limits(), no_checkpoint
    )
    for found, expected in zip(native.arrays, reference.arrays, strict=True):
        for have, want in zip(found, expected, strict=True):
            assert have.array.dtype == np.float32
            np.testing.assert_allclose(have.array, want.array, rtol=2e-5, atol=2e-5)


def test_the_reference_agrees_on_whole_graphs_of_arithmetic() -> None:
    """Graphs without elementary functions give NumPy's values bit for bit, joined records and all."""
    level = HOST_LEVELS[0]
    random = np.random.default_rng(4)
    names = [name for name, row in TABLE.items() if row.direct]
    for _ in range(10):
        builder = GraphBuilder([Input(f"x{place}", (), FLOAT32) for place in range(3)])
        pool = [*range(3), builder.constant(0.1), builder.constant(-2.5)]
        for name in random.choice(names, 60):
            pool.append(emit(builder, str(name), [int(random.choice(pool[-6:])) for _ in range(TABLE[name].arity)]))
        graph = builder.build([Output(f"y{place}", node) for place, node in enumerate(pool[-3:])])
        points = by_columns(graph, narrow(awkward_points(3, 3, 200)))
        found = arrays_of(evaluated(tape_of(graph, level), points))
        assert_same(found, arrays_of(evaluated(NumpyExecutable(graph, one_by_one(graph)), points)))
