"""Points in every form, checked and packed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradmill as gm
import numpy as np
import pytest
from gradmill.descriptions import FunctionInfo, OutputInfo
from gradmill.errors import InvalidRequestError
from gradmill.graph import Input
from gradmill.points import pack_points
from gradmill.wire import FloatArray, read_array

SCALARS = FunctionInfo(bytes(32), (Input("a"), Input("b")), (OutputInfo("value"),), 3)
ONE = FunctionInfo(bytes(32), (Input("x"),), (OutputInfo("value"),), 2)
MIXED = FunctionInfo(bytes(32), (Input("a"), Input("w", (3,))), (OutputInfo("value"),), 3)


class Frame:
    """A table with named columns, as pandas has."""

    def __init__(self, **columns: object) -> None:
        """Keep the columns."""
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> object:
        """Return a column."""
        return self._columns[name]


def packed_matrix(points: object, function: FunctionInfo = SCALARS) -> FloatArray:
    """Return the matrix that a message of all points would carry."""
    batch = pack_points(points, function)
    message = batch.message(0, batch.count)
    assert message.count == batch.count
    return read_array(message.matrix, "points")


@pytest.mark.parametrize(
    "points",
    [
        [[1, 2], [3, 4]],
        [(1, 2), (3, 4)],
        np.array([[1, 2], [3, 4]]),
        np.array([[1, 2], [3, 4]], dtype=np.int8),
        np.array([[1, 2], [3, 4]], dtype=np.float32),
        np.array([[1, 3], [2, 4]], dtype=np.float64).T,
        np.array([[1, 2], [3, 4]], dtype=">f8"),
        np.array([[1, 0, 2, 0], [3, 0, 4, 0]])[:, ::2],
    ],
)
def test_a_matrix_may_come_in_any_form(points: object) -> None:
    """Lists, tuples and arrays of any real dtype, byte order and layout are the same points."""
    assert np.array_equal(packed_matrix(points), [[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize("points", [[1, 2], (1.0, 2.0), np.array([1, 2])])
def test_one_dimension_is_one_point(points: object) -> None:
    """A plain list of the inputs' values is one point."""
    assert packed_matrix(points).shape == (1, 2)
    assert pack_points(points, SCALARS).is_one_point


def test_a_number_is_a_point_of_a_function_of_one_input() -> None:
    """A function of one scalar can be evaluated at a plain number."""
    assert np.array_equal(packed_matrix(2.5, ONE), [[2.5]])


def test_a_matrix_holds_the_elements_of_arrays_side_by_side() -> None:
    """Inputs with shapes take as many columns as they have elements."""
    assert packed_matrix(np.zeros((5, 4)), MIXED).shape == (5, 4)


@pytest.mark.parametrize("function", [lambda x: x, np.asarray, list])
def test_a_matrix_without_rows_is_a_batch_of_no_points(function: Callable[[Any], object]) -> None:
    """No points are a batch like any other."""
    assert pack_points(function(np.zeros((0, 2))) if function is not list else np.zeros((0, 2)), SCALARS).count == 0


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((4, 3)), r"points have the shape \(4, 3\), but the function of \(a, b\) takes \[points, 2\]"),
        ([1.0, 2.0, 3.0], r"or \[2\] for one point"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (3.0, r"shape \(\)"),
        ([[1, 2], [3]], "cannot be read as an array of numbers"),
        ([[1j, 2]], "complex128 are not real numbers"),
        ([["1", "2"]], "are not real numbers; convert them"),
        ([[None, 2]], "object are not real numbers; convert them"),
        (np.array([["2020-01-01", "2020-01-02"]], dtype="M8[D]"), "datetime64"),
        (None, "object are not real numbers"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused_with_both_shapes(points: object, words: str) -> None:
    """A wrong shape or type is found before anything is sent, and the message says what was expected."""
    with pytest.raises(gm.InvalidRequestError, match=words) as caught:
        pack_points(points, SCALARS)
    assert caught.value.reason == "POINTS_INVALID"


def test_many_points_of_one_input_are_told_how_to_be_written() -> None:
    """A list of many numbers for a function of one input is refused with the way to write it."""
    with pytest.raises(gm.InvalidRequestError, match=r"reshape\(-1, 1\)"):
        pack_points([1.0, 2.0, 3.0], ONE)


def test_a_mapping_may_mix_shared_and_per_point_values() -> None:
    """A number beside arrays holds for all points, and travels once."""
    batch = pack_points({"b": 2, "a": [1, 2, 3]}, SCALARS)
    assert (batch.count, batch.is_one_point, batch.shared) == (3, False, frozenset("b"))
    message = batch.message(1, 3)
    assert message.count == 2
    entries = {entry.name: (read_array(entry.values, "").tolist(), entry.shared) for entry in message.inputs}
    assert entries == {"a": ([2.0, 3.0], False), "b": (2.0, True)}


def test_a_mapping_of_single_values_is_one_point() -> None:
    """Numbers for all inputs are one point, arrays of an input's own shape among them."""
    batch = pack_points({"a": 1, "w": [1, 2, 3]}, MIXED)
    assert (batch.count, batch.is_one_point) == (1, True)


def test_one_more_axis_is_the_batch() -> None:
    """An array with one axis more than its input's shape has one value for each point."""
    batch = pack_points({"a": 1, "w": np.zeros((7, 3))}, MIXED)
    assert (batch.count, batch.is_one_point, batch.shared) == (7, False, frozenset("a"))
    assert batch.bytes_per_point == 24


def test_a_data_frame_is_read_by_the_names_of_its_columns() -> None:
    """Columns in another order than the inputs still reach the right input."""
    batch = pack_points(Frame(b=[3, 4], a=[1, 2]), SCALARS)
    assert batch.arrays["a"].tolist() == [1.0, 2.0]
    assert batch.arrays["b"].tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ({"a": 1, "c": 2}, "no input 'c'; its inputs: a, w"),
        ({"a": 1}, "no value for input 'w'"),
        ({}, "no value for input 'a', 'w'"),
        ({"a": 1, "w": [1, 2]}, r"input 'w' has the shape \(2,\); expected \[points, 3\], or \[3\] for all points"),
        ({"a": [[1]], "w": [1, 2, 3]}, r"input 'a' has the shape \(1, 1\); expected \[points\], or a number"),
        ({"a": [1, 2], "w": np.zeros((3, 3))}, "input 'w' has 3 points, but input 'a' has 2"),
        ({"a": "1", "w": [1, 2, 3]}, "input 'a': elements of type <U1 are not real numbers"),
        ({"a": 1j, "w": [1, 2, 3]}, "input 'a': elements of type complex128"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_by_input(points: object, words: str) -> None:
    """A mistake in a mapping names the input, what it has and what was expected."""
    with pytest.raises(gm.InvalidRequestError, match=words):
        pack_points(points, MIXED)


@pytest.mark.parametrize("form", ["matrix", "mapping"])
def test_masked_entries_are_refused(form: str) -> None:
    """A masked array is not read as if nothing were hidden: the client says what to do with it."""
    masked = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, True], [False, False]])
    points: object = masked if form == "matrix" else {"x": masked[:, 0], "y": masked[:, 1]}
    info = FunctionInfo(bytes(32), (Input("x"), Input("y")), (), 3)
    with pytest.raises(InvalidRequestError, match="masked"):
        pack_points(points, info)
