"""``gradmill eval --points``: a file of points, block by block, so that a file of any length needs little memory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

import numpy as np
import numpy.typing as npt

from gradmill.client import Client
from gradmill.command_line import json_output
from gradmill.command_line.tables import PointsFile, write_rows
from gradmill.descriptions import FunctionInfo
from gradmill.progress import Bar
from gradmill.results import Result
from gradmill.wire import FloatArray

_ROWS_PER_BLOCK = 32_768
_BAR_DELAY_SECONDS = 1.0


class Rows(Protocol):
    """Writes results in some form."""

    def add(self, result: Result) -> None:
        """Take the results of the next rows."""

    def finish(self) -> None:
        """Write what is left to write."""


def evaluate_file(
    client: Client, function: FunctionInfo, options: argparse.Namespace, table: PointsFile, stream: TextIO
) -> None:
    """Evaluate a formula at every row of a table and write the results to a stream."""
    rows: Rows = JsonRows(stream, function) if options.json else CsvRows(stream, function)
    bar = Bar(_BAR_DELAY_SECONDS) if sys.stderr.isatty() else None
    flags: list[npt.NDArray[np.uint8]] = []
    done = 0
    try:
        for block in table.blocks(function.input_names, _ROWS_PER_BLOCK, ignore_extra=options.ignore_extra):
            result = call(client, options, block)
            rows.add(result)
            flags.append(result.point_flags)
            done += len(block)
            if bar is not None:
                bar.report(done, None)
    finally:
        if bar is not None:
            bar.close()
    rows.finish()
    warn_of_non_finite(np.concatenate(flags))


def call(client: Client, options: argparse.Namespace, points: Mapping[str, float] | FloatArray) -> Result:
    """Return the result that the command line asks for."""
    method: Callable[..., Result] = client.value if options.value_only else client.gradient
    return method(options.formula, points, timeout=options.timeout, progress=False)


def by_output(function: FunctionInfo, results: Any) -> dict[str, Any]:  # noqa: ANN401 - as Result documents
    """Return values or gradients as a mapping from output name, whether there is one output or several."""
    if len(function.outputs) > 1:
        return dict(results or {})
    return {entry.name: results for entry in function.outputs}


class CsvRows:
    """A CSV file: a column for each output, each followed by a column for each derivative of it."""

    def __init__(self, stream: TextIO, function: FunctionInfo) -> None:
        """Write nothing yet: the first results tell whether there are gradients."""
        self._stream = stream
        self._function = function
        self._has_header = False

    def add(self, result: Result) -> None:
        """Write the results of the next rows."""
        values = by_output(self._function, result.values)
        gradients = by_output(self._function, result.gradient)
        columns: dict[str, FloatArray] = {}
        for name, value in values.items():
            columns[name] = value
            if result.gradient is not None:
                columns.update(self._derivatives(name, gradients[name]))
        if not self._has_header:
            self._stream.write(",".join(columns) + "\n")
            self._has_header = True
        write_rows(self._stream, list(columns.values()))

    def finish(self) -> None:
        """Write nothing: every row is complete."""

    def _derivatives(self, output: str, gradient: FloatArray) -> dict[str, FloatArray]:
        several = len(self._function.outputs) > 1
        return {
            f"d({output})/d({name})" if several else f"d/d{name}": gradient[:, position]
            for position, name in enumerate(self._function.input_names)
        }


class JsonRows:
    """One JSON object with an array for each output and each derivative; kept in memory until it is complete."""

    def __init__(self, stream: TextIO, function: FunctionInfo) -> None:
        """Start with no rows."""
        self._stream = stream
        self._function = function
        self._results: list[Result] = []

    def add(self, result: Result) -> None:
        """Keep the results of the next rows."""
        self._results.append(result)

    def finish(self) -> None:
        """Write the object."""
        outputs: dict[str, dict[str, Any]] = {}
        for entry in self._function.outputs:
            values = [by_output(self._function, result.values)[entry.name] for result in self._results]
            outputs[entry.name] = {"value": np.concatenate(values)}
            if self._results[0].gradient is not None:
                parts = [by_output(self._function, result.gradient)[entry.name] for result in self._results]
                gradient = np.concatenate(parts)
                names = enumerate(self._function.input_names)
                outputs[entry.name]["gradient"] = {name: gradient[:, position] for position, name in names}
        flags = np.concatenate([result.point_flags for result in self._results])
        document = {"digest": self._function.digest.hex(), "outputs": outputs, "point_flags": flags}
        self._stream.write(json_output.to_text(document))


def warn_of_non_finite(flags: npt.NDArray[np.uint8]) -> None:
    """Say on standard error at how many points a value or a derivative is not finite, if at any."""
    marked = int(np.count_nonzero(flags))
    if marked:
        where = "here" if flags.size == 1 else f"at {marked} of {flags.size} points"
        sys.stdout.flush()
        sys.stderr.write(f"gradmill: note: a value or a derivative is not finite {where}\n")
