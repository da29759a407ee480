"""Shape inference: NumPy's broadcasting rules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.errors import InvalidGraph
from gradmill_server.engine.ir import GraphBuilder, Input
from gradmill_server.engine.shapes import ShapeMismatch, broadcast

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (3,), (2,), (2, 3), (3, 1), (1, 1), (4, 2, 3), (4, 1, 1), (0,), (2, 0))


@pytest.mark.parametrize("shapes", [*itertools.product(SHAPES, SHAPES), *itertools.combinations(SHAPES, 3)])
def test_shapes_broadcast_as_in_numpy(shapes: tuple[tuple[int, ...], ...]) -> None:
    """Whatever NumPy broadcasts, and nothing else, the engine broadcasts to the same shape."""
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ShapeMismatch):
            broadcast("add", shapes)
    else:
        assert broadcast("add", shapes) == expected


def test_a_mismatch_names_the_operation_the_shapes_and_the_axis() -> None:
    """Shapes that do not fit are shown, with the axis at fault counted from the last."""
    builder = GraphBuilder([Input("x", (2, 3)), Input("y", (2, 4))])
    with pytest.raises(InvalidGraph) as caught:
        ops.emit(builder, "multiply", (0, 1))
    assert caught.value.reason == "SHAPE_MISMATCH"
    assert caught.value.metadata == {"operation": "multiply"}
    assert str(caught.value) == "multiply cannot broadcast shapes (2, 3) and (2, 4): axis -1 differs"


def test_huge_extents_are_compared_without_being_allocated() -> None:
    """Shapes are numbers: extents of 2**63 cost nothing to infer."""
    assert broadcast("add", [(2**63, 1), (1, 2**63)]) == (2**63, 2**63)
