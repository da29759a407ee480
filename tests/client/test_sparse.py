"""Sparse matrices: to dense ones, to SciPy's, and the memory for patterns."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import gradmill as gm
import numpy as np
import pytest
from gradmill.sparse import PatternMemory, SparsePattern, pattern_digest, read_pattern
from gradmill.v1 import gradient_service_pb2 as service

STARTS = np.array([0, 2, 2, 3])
INDICES = np.array([0, 3, 1])
DENSE = np.array([[1.0, 0.0, 0.0, 2.0], [0.0] * 4, [0.0, 3.0, 0.0, 0.0]])


def matrix(values: object) -> gm.SparseMatrix:
    """Return matrices of 3 rows and 4 columns with those numbers."""
    return gm.SparseMatrix((3, 4), STARTS, INDICES, np.asarray(values, dtype=float), {"x": slice(0, 4)})


def test_dense_form_has_zeros_everywhere_else() -> None:
    """Every number comes to its row and column, for one point and for many."""
    assert np.array_equal(matrix([1, 2, 3]).to_dense(), DENSE)
    assert np.array_equal(matrix([[1, 2, 3], [2, 4, 6]]).to_dense(), [DENSE, 2 * DENSE])
    assert repr(matrix([[1, 2, 3], [2, 4, 6]])) == "SparseMatrix(shape=(3, 4), places=3, points=2)"
    assert repr(matrix([1, 2, 3])) == "SparseMatrix(shape=(3, 4), places=3)"


def test_scipy_gets_the_same_matrix() -> None:
    """SciPy's matrix is the dense one."""
    pytest.importorskip("scipy.sparse")
    assert np.array_equal(matrix([1, 2, 3]).to_scipy().toarray(), DENSE)
    assert np.array_equal(matrix([[1, 2, 3], [2, 4, 6]]).to_scipy(1).toarray(), 2 * DENSE)


def test_scipy_gets_the_parts_in_its_own_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, column indices and row starts are handed over in the order that SciPy's constructor takes."""
    stand_in = ModuleType("scipy.sparse")
    monkeypatch.setattr(
        stand_in, "csr_array", lambda parts, shape: SimpleNamespace(parts=parts, shape=shape), raising=False
    )
    monkeypatch.setitem(sys.modules, "scipy.sparse", stand_in)
    made = matrix([[1, 2, 3], [2, 4, 6]]).to_scipy(1)
    assert [part.tolist() for part in made.parts] == [[2.0, 4.0, 6.0], INDICES.tolist(), STARTS.tolist()]
    assert made.shape == (3, 4)


def test_without_scipy_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks SciPy is told exactly what to type."""
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(gm.MissingExtraError, match="pip install scipy"):
        matrix([1, 2, 3]).to_scipy()


@pytest.mark.parametrize(("values", "point"), [([1, 2, 3], 0), ([[1, 2, 3]], None)])
def test_the_point_is_named_where_there_are_several(values: object, point: int | None) -> None:
    """A point named without need, or not named, is a mistake that shows the shape."""
    with pytest.raises(gm.InvalidRequestError, match="the values have the shape"):
        matrix(values).to_scipy(point)


def message(**changes: object) -> service.SparsePattern:
    """Return the pattern as a server sends it, with changes."""
    fields: dict[str, object] = {
        "rows": 3,
        "columns": 4,
        "row_starts": STARTS.tolist(),
        "column_indices": INDICES.tolist(),
        "places": 3,
        "digest": pattern_digest((3, 4), STARTS, INDICES),
    }
    return service.SparsePattern(**(fields | changes))  # type: ignore[arg-type]


def test_a_pattern_is_read_as_sent() -> None:
    """The places of a pattern are those of the message; left out, there is none."""
    pattern = read_pattern(message())
    assert pattern is not None
    assert pattern.shape == (3, 4)
    assert (pattern.row_starts.tolist(), pattern.column_indices.tolist()) == (STARTS.tolist(), INDICES.tolist())
    assert read_pattern(message(row_starts=[], column_indices=[])) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 2},
        {"columns": 3},
        {"places": 4},
        {"row_starts": [1, 2, 2, 3]},
        {"row_starts": [0, 2, 1, 3]},
        {"column_indices": [0, 3]},
        {"column_indices": [0, 2, 1]},
        {"digest": bytes(32)},
    ],
)
def test_a_pattern_that_contradicts_itself_is_the_servers_fault(changes: dict[str, object]) -> None:
    """Numbers never come to places that the server did not mean."""
    with pytest.raises(gm.ServerError, match="contradicts itself"):
        read_pattern(message(**changes))


def test_the_memory_for_patterns_is_bounded() -> None:
    """Beyond its bytes the patterns used longest ago are forgotten, and asked for again."""
    memory = PatternMemory(maximum_bytes=3_000)
    pattern = SparsePattern((10, 10), np.zeros(11, dtype=np.int64), np.zeros(64, dtype=np.int64), b"")
    keys = [(bytes([number]), 9, ("x",), "y") for number in range(3)]
    for key in keys[:2]:
        memory.put(key, pattern)
    memory.put(keys[0], pattern)
    memory.put(keys[2], pattern)
    assert [memory.get(key) is not None for key in keys] == [True, False, True]
    memory.forget(keys[0])
    memory.put(keys[1], pattern)
    assert [memory.get(key) is not None for key in keys] == [False, True, True]
