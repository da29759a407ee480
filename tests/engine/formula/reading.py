"""How these tests read formulas, and what they compare: values, digests and refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.canonical import canonicalize, digest
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.errors import InvalidFormula
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import Graph, Input
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.passes.expand import expand

LIMITS = Limits()


def read(text: str, inputs: Sequence[Input] | None = None, limits: Limits = LIMITS) -> Graph:
    """Return the graph of a formula."""
    return parse_formula(text, inputs, limits)


def digest_of(text: str, inputs: Sequence[Input] | None = None) -> str:
    """Return the digest of a formula's graph, as hexadecimal text."""
    return digest(canonicalize(read(text, inputs))).hex()


def evaluate(graph: Graph, point: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the outputs of a graph at one point, one NumPy call for each node."""
    values: list[npt.NDArray[np.float64]] = []
    with np.errstate(all="ignore"):
        for index, node in enumerate(graph.nodes):
            if node.is_input:
                values.append(np.asarray(point[graph.inputs[index].name], dtype=np.float64))
            elif node.is_constant:
                values.append(node.constant_array())
            else:
                operation = ops.TABLE[node.operation]
                result = operation.value(*(values[argument] for argument in node.arguments))
                values.append(np.asarray(result, dtype=np.float64))
    return {output.name: values[output.node] for output in graph.outputs}


def compute(graph: Graph, point: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the outputs of a graph of arrays at one point, as the NumPy backend computes them."""
    expanded = expand(canonicalize(graph))
    inputs = [np.asarray(point[entry.name], dtype=np.float64)[np.newaxis] for entry in expanded.inputs]
    values = NumpyExecutable(expanded).run(inputs, 1, never)
    return {output.name: value[0] for output, value in zip(expanded.outputs, values, strict=True)}


def refusal(text: str, inputs: Sequence[Input] | None = None) -> InvalidFormula:
    """Return the refusal of a formula that has a mistake."""
    with pytest.raises(InvalidFormula) as caught:
        read(text, inputs)
    return caught.value
