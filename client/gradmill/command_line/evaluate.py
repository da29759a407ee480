"""``gradmill eval``: value and derivatives of a formula at one point or at many."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from gradmill.client import Client
from gradmill.command_line import json_output
from gradmill.command_line.clients import open_client, point_from
from gradmill.command_line.evaluate_file import evaluate_file, warn_of_non_finite
from gradmill.command_line.files import reading, writing
from gradmill.command_line.problems import UsageError
from gradmill.command_line.tables import PointsFile
from gradmill.command_line.wanted import by_output, derivatives, evaluate_wanted, lines, wanted_kinds
from gradmill.descriptions import FunctionInfo
from gradmill.errors import invalid_points
from gradmill.formatting import format_value
from gradmill.formulas import formula
from gradmill.results import Result


def evaluate(options: argparse.Namespace) -> int:
    """Run ``gradmill eval`` and return its exit status."""
    if options.points and options.at:
        message = "give --at or --points, not both"
        raise UsageError(message)
    point = point_from(options.at)
    wanted_kinds(options)  # a mistake is found before anything is opened
    with open_client(options) as client:
        function = client.register(options.formula, timeout=options.timeout)
        if options.dtype == "float32" and function.inputs:  # named to it, as the server has found them
            options.formula = formula(options.formula, function.input_names, dtype=options.dtype)
            function = client.register(options.formula, timeout=options.timeout)
        _require_scalar_inputs(function)
        if options.points:
            _evaluate_points(client, function, options)
        else:
            _evaluate_point(client, function, options, point)
    return 0


def _evaluate_points(client: Client, function: FunctionInfo, options: argparse.Namespace) -> None:
    with reading(options.points) as (source, name):
        table = PointsFile(source, name)
        with writing(options.output_file) as stream:
            evaluate_file(client, function, options, table, stream)


def _evaluate_point(
    client: Client, function: FunctionInfo, options: argparse.Namespace, point: Mapping[str, float]
) -> None:
    result = evaluate_wanted(client, function, options, point)
    text = _json_text(function, point, result, options) if options.json else _plain_text(function, result, options)
    with writing(options.output_file) as stream:
        stream.write(text)
    warn_of_non_finite(result.point_flags)


def _require_scalar_inputs(function: FunctionInfo) -> None:
    for entry in function.inputs:
        if entry.shape:
            message = f"input {entry.name!r} has the shape {entry.shape}; the command line takes scalars only"
            raise invalid_points(message, name=entry.name)


def _json_text(function: FunctionInfo, point: Mapping[str, float], result: Result, options: argparse.Namespace) -> str:
    outputs = {name: {"value": value} for name, value in by_output(function, result.values).items()}
    for name, found in derivatives(result, wanted_kinds(options), function).items():
        outputs[name] |= found
    inputs = {name: point[name] for name in function.input_names}
    head = {"digest": function.digest.hex(), "stable_forms": list(result.stable_forms)}
    return json_output.to_text({**head, "inputs": inputs, "outputs": outputs})


def _plain_text(function: FunctionInfo, result: Result, options: argparse.Namespace) -> str:
    values = by_output(function, result.values)
    kinds = wanted_kinds(options)
    found = derivatives(result, kinds, function)
    width = max(len("gradient"), *map(len, values), *(len(kind.name) for kind in kinds))
    blocks = []
    for name, value in values.items():
        rows = [(name, format_value(value))]
        for kind in kinds:
            shown = lines(kind, found[name][kind.name], function.input_names)
            rows += zip([kind.name, *[""] * (len(shown) - 1)], shown, strict=True)
        blocks.append("".join(f"{label:{width}}  {text}\n" for label, text in rows))
    return "\n".join(blocks)
