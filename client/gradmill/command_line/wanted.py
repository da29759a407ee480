"""What ``gradmill eval`` is to compute besides values, and the forms in which it is shown: rows, columns, JSON."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradmill.client import Client
from gradmill.command_line.clients import point_from
from gradmill.command_line.problems import UsageError
from gradmill.descriptions import FunctionInfo
from gradmill.formatting import format_tuple, format_value
from gradmill.kinds import KINDS, Kind
from gradmill.results import Result
from gradmill.wire import FloatArray

CHOICES = ("gradient", "jacobian", "hessian", "hessian_diagonal", "jvp", "hvp")
"""The kinds that the command can show; its inputs are scalars, so a VJP has little to say and nothing is sparse."""


def wanted_kinds(options: argparse.Namespace) -> tuple[Kind, ...]:
    """Return the kinds that the command line asks for, the gradient unless said.

    Raises:
        UsageError: one is unknown or named twice, needs a direction, or there is a direction without need.
    """
    if options.want is not None and options.value_only:
        message = "give --want or --value-only, not both"
        raise UsageError(message)
    names = () if options.value_only else tuple((options.want or "gradient").replace(" ", "").split(","))
    for position, name in enumerate(names):
        if name not in CHOICES or name in names[:position]:
            problem = "is named twice" if name in CHOICES else f"is not one of {', '.join(CHOICES)}"
            message = f"--want: {name!r} {problem}"
            raise UsageError(message)
    kinds = tuple(KINDS[name] for name in names)
    directed = [kind.name for kind in kinds if kind.directions]
    if bool(directed) != bool(options.direction):
        message = f"--want {directed[0]} needs --direction" if directed else "--direction is for --want jvp or hvp"
        raise UsageError(message)
    return kinds


def evaluate_wanted(
    client: Client,
    function: FunctionInfo,
    options: argparse.Namespace,
    points: Mapping[str, float] | FloatArray,
) -> Result:
    """Return the result that the command line asks for, in the form of the points."""
    kinds = wanted_kinds(options)
    directions: dict[str, object] = {}
    if options.direction:
        named = point_from(options.direction, "--direction")
        along = named if isinstance(points, Mapping) else _in_order(named, function)
        directions = {kind.directions: along for kind in kinds if kind.directions}
    return client.evaluate(
        options.formula,
        points,
        want=["value", *(kind.name for kind in kinds)],
        timeout=options.timeout,
        progress=False,
        **directions,  # type: ignore[arg-type]  # tangents and vectors, which are objects
    )


def _in_order(named: Mapping[str, float], function: FunctionInfo) -> Mapping[str, float] | list[float]:
    """Return a direction as a row; a name that is no input is left for the client to refuse."""
    if set(named) <= set(function.input_names):
        return [named.get(name, 0.0) for name in function.input_names]
    return named


def by_output(function: FunctionInfo, results: Any) -> dict[str, Any]:  # noqa: ANN401 - as Result documents
    """Return results as a mapping from output name, whether there is one output or several."""
    if len(function.outputs) > 1:
        return dict(results or {})
    return {entry.name: results for entry in function.outputs}


def derivatives(result: Result, kinds: Sequence[Kind], function: FunctionInfo) -> dict[str, dict[str, Any]]:
    """Return for each output its derivatives by the name of their kind."""
    found: dict[str, dict[str, Any]] = {entry.name: {} for entry in function.outputs}
    for kind in kinds:
        for output, entry in by_output(function, getattr(result, kind.name)).items():
            found[output][kind.name] = entry
    return found


def lines(kind: Kind, entry: Any, inputs: Sequence[str]) -> list[str]:  # noqa: ANN401 - as Result documents
    """Return the derivatives of one output at one point as lines: one for each row of a matrix."""
    if not kind.input_axes:
        return [format_value(entry)]
    by = f"  by ({', '.join(inputs)})"
    if kind.input_axes > 1:
        rows = [[entry[name][second] for second in inputs] for name in inputs]
    elif kind.has_output_axes:
        rows = np.stack([np.ravel(entry[name]) for name in inputs], axis=1).tolist() if inputs else [[]]
    else:
        rows = [[entry[name] for name in inputs]]
    shown = [format_tuple(row) for row in rows] or ["()"]
    return [*shown[:-1], shown[-1] + by]


def columns(kind: Kind, entry: FloatArray, output: str, inputs: Sequence[str]) -> Iterator[tuple[str, FloatArray]]:
    """Yield a name and numbers ``[points]`` for each derivative of one output at points that came as a matrix.

    ``output`` is empty when there is but one.
    """
    if kind.name in {"gradient", "jacobian"}:
        for position, name in enumerate(inputs):
            for element, numbers in elements(output, entry[..., position]):
                yield f"d({element})/d({name})" if element else f"d/d{name}", numbers
        return
    of = f"({output})" if output else ""
    if kind.name == "jvp":
        for element, numbers in elements("", entry):
            yield f"jvp{of}{element}", numbers
    elif kind.name == "hvp":
        yield from ((f"hvp{of}/d({name})", entry[:, position]) for position, name in enumerate(inputs))
    else:
        for (position, name), (second, other) in itertools.product(enumerate(inputs), repeat=2):
            if kind.input_axes > 1 or position == second:
                numbers = entry[:, position, second] if kind.input_axes > 1 else entry[:, position]
                yield f"d2{of}/d({name})d({other})", numbers


def elements(name: str, array: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Yield the name and the numbers ``[points]`` of each element of an array ``[points, ...]``."""
    for index in np.ndindex(array.shape[1:]):
        yield name + "".join(f"[{place}]" for place in index), array[(slice(None), *index)]


def named(kind: Kind, entry: FloatArray, inputs: Sequence[str]) -> Any:  # noqa: ANN401 - an array, or a mapping of these
    """Return the derivatives of one output at points that came as a matrix as a mapping from input name."""
    if not kind.input_axes:
        return entry
    if kind.input_axes > 1:
        return {
            name: {other: entry[:, position, second] for second, other in enumerate(inputs)}
            for position, name in enumerate(inputs)
        }
    return {name: entry[..., position] for position, name in enumerate(inputs)}
