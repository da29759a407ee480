"""What x[...] means: NumPy's shapes, and one normal form of operations for each meaning."""

from __future__ import annotations

import gradmill as gm
import numpy as np
import pytest
from gradmill.graph import Operation

MASK = np.array([True, False, True, False])
KEYS: list[tuple[tuple[int, ...], object]] = [
    ((4,), 0),
    ((4,), -1),
    ((4,), np.int64(2)),
    ((4,), slice(1, 3)),
    ((4,), slice(None, None, -2)),
    ((4,), slice(10, None, -1)),
    ((4,), ()),
    ((4,), ...),
    ((4,), None),
    ((4,), [2, -1, 2]),
    ((4,), np.array([[0, 1], [2, 3]])),
    ((4,), np.array(2)),
    ((4,), MASK),
    ((4,), list(MASK)),
    ((), ...),
    ((), None),
    ((4, 3), 1),
    ((4, 3), (slice(None), 1)),
    ((4, 3), (..., -1)),
    ((4, 3), (None, slice(None), None, slice(1, None))),
    ((4, 3), ([0, 1], [2, 1])),
    ((4, 3), (np.array([[0], [1]]), np.array([0, 2]))),
    ((4, 3), (slice(None, None, -1), [0, 2])),
    ((4, 3), (MASK, slice(0, 2))),
    ((4, 3), np.arange(12).reshape(4, 3) % 2 == 0),
    ((4, 3), (1, [0, 2])),
    ((4, 3), ([0, -3], -1)),
    ((2, 4, 3), (slice(None), [0, 1], [0, 1])),
    ((2, 4, 3), ([0, 1], 2, [0, 1])),
    ((2, 4, 3), (slice(1), MASK)),
    ((2, 4, 3), (..., np.arange(12).reshape(4, 3) % 2 == 0)),
    ((2, 4, 3), (None, 0, [1, 2])),
    ((2, 4, 3), (0, ..., 1)),
    ((2, 4, 3), (1, slice(3, 0, -2), None, 0)),
]


@pytest.mark.parametrize(("shape", "key"), KEYS, ids=lambda value: repr(value)[:40])
def test_a_part_has_the_shape_that_numpy_gives_it(shape: tuple[int, ...], key: object) -> None:
    """Whatever is indexed, the result's shape is NumPy's."""
    x = gm.inputs("x", shape=shape)
    assert x[key].shape == np.zeros(shape)[key].shape  # type: ignore[call-overload]  # of any type


def operations(value: gm.Expression) -> list[tuple[str, dict[str, object]]]:
    """Return the operations of a value that is made by a chain of them, with their parameters."""
    return [
        (entry.name, {parameter.name: parameter.value for parameter in entry.parameters})
        for entry in value.as_function().graph.values
        if isinstance(entry, Operation)
    ]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (..., []),
        ((slice(None), slice(0, 3)), []),
        (slice(1, 4, 2), [("slice", {"starts": (1, 0), "counts": (2, 3), "steps": (2, 1)})]),
        (
            (slice(None, None, -1), -1),
            [("slice", {"starts": (3, 2), "counts": (4, 1), "steps": (-1, 1)}), ("reshape", {"shape": (4,)})],
        ),
        (None, [("reshape", {"shape": (1, 4, 3)})]),
        ((slice(None), [-1, 0]), [("take", {"indices": (2, 0), "index_shape": (2,), "axis": 1})]),
        (
            (1, [[0], [2]]),
            [
                ("slice", {"starts": (1, 0), "counts": (1, 3), "steps": (1, 1)}),
                ("take", {"indices": (0, 2), "index_shape": (2, 1), "axis": 1}),
                ("reshape", {"shape": (2, 1)}),
            ],
        ),
        (
            ([0, -1], [[1], [2]]),
            [
                ("reshape", {"shape": (12,)}),
                ("take", {"indices": (1, 10, 2, 11), "index_shape": (2, 2), "axis": 0}),
            ],
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_index_has_one_normal_form(key: object, expected: list[tuple[str, dict[str, object]]]) -> None:
    """A slice, then a take, then a reshape, each only where it changes something."""
    x = gm.inputs("x", shape=(4, 3))
    assert operations(x[key]) == expected


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (4, r"shape \(4, 3\) has no element 4 along axis 0"),
        ((0, -4), r"shape \(4, 3\) has no element -4 along axis 1"),
        ((0, 0, 0), r"shape \(4, 3\) has 2 axes, but the index is for 3"),
        ((..., ...), "more than one ellipsis"),
        (slice(2, 2), "has nothing along axis 0"),
        ([4], "has no element 4 along axis 0"),
        ([], "cannot give no elements"),
        (np.zeros(4, bool), "no elements"),
        (np.zeros(3, bool), r"other extents from axis 0 on than a mask of \(3,\)"),
        (([0, 1], [0, 1, 2]), r"shapes \(2,\) and \(3,\) of arrays of indices do not broadcast"),
        ("a", "str is no index"),
        (1.0, "float is no index"),
        (True, "bool is no index"),
        (np.True_, "bool.* is no index"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_index_that_names_nothing_shows_the_shape_and_the_line(key: object, problem: str) -> None:
    """A mistake in an index is told with the array's shape, the file and the line."""
    x = gm.inputs("x", shape=(4, 3))
    with pytest.raises(gm.TracingError, match=problem) as caught:
        x[key]
    assert caught.value.metadata["file"] == __file__


def test_arrays_of_indices_stand_side_by_side() -> None:
    """NumPy moves axes when something stands between arrays of indices; that is refused, with another way."""
    x = gm.inputs("x", shape=(2, 4, 3))
    apart = ([0, 1], slice(None), [0, 1]), (0, slice(None), [0, 1]), ([0, 1], None, 0), (slice(None), [0, 1], ..., 0)
    for key in apart:
        with pytest.raises(gm.TracingError, match="in two steps") as caught:
            x[key]
        assert "(2, 4, 3)" in str(caught.value)


def test_an_index_is_never_traced() -> None:
    """What depends on the points cannot choose elements."""
    x, i = gm.inputs({"x": (4,), "i": ()})
    for key in (i, [i], slice(i), slice(None, None, i), x > 0):
        with pytest.raises(gm.TracingError, match="an index cannot be traced"):
            x[key]


def test_an_array_is_iterated_over_by_its_first_axis() -> None:
    """Unpacking, len and loops work as for NumPy's arrays, and a scalar refuses them with the line."""
    x, s = gm.inputs({"x": (2, 3), "s": ()})
    first, second = x
    assert (first.digest, second.digest) == (x[0].digest, x[1].digest)
    assert (len(x), x.ndim, x.size, s.ndim, s.size) == (2, 2, 6, 0, 1)
    for use in (len, iter, list):
        with pytest.raises(gm.TracingError, match=r"traced scalar .*test_indexing.py, line \d+"):
            use(s)
