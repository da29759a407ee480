"""``gradmill eval --points``: a file of points, block by block, so that a file of any length needs little memory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, Protocol, TextIO

import numpy as np
import numpy.typing as npt

from gradmill.client import Client
from gradmill.command_line import json_output
from gradmill.command_line.tables import PointsFile, write_rows
from gradmill.command_line.wanted import by_output, columns, derivatives, elements, evaluate_wanted, named, wanted_kinds
from gradmill.descriptions import FunctionInfo
from gradmill.kinds import Kind
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
    form = JsonRows if options.json else CsvRows
    rows: Rows = form(stream, function, wanted_kinds(options))
    bar = Bar(_BAR_DELAY_SECONDS) if sys.stderr.isatty() else None
    flags: list[npt.NDArray[np.uint8]] = []
    done = 0
    try:
        for block in table.blocks(function.input_names, _ROWS_PER_BLOCK, ignore_extra=options.ignore_extra):
            result = evaluate_wanted(client, function, options, block)
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


class CsvRows:
    """A CSV file: a column for each output, each followed by a column for each derivative of it.

    An array has a column for each element, with its place in square brackets.
    """

    def __init__(self, stream: TextIO, function: FunctionInfo, kinds: Sequence[Kind]) -> None:
        """Write nothing yet."""
        self._stream = stream
        self._function = function
        self._kinds = kinds
        self._has_header = False

    def add(self, result: Result) -> None:
        """Write the results of the next rows."""
        found = derivatives(result, self._kinds, self._function)
        table: dict[str, FloatArray] = {}
        for entry in self._function.outputs:
            table.update(elements(entry.name, by_output(self._function, result.values)[entry.name]))
            # The only output goes without saying, unless its elements have to be told apart.
            name = entry.name if len(self._function.outputs) > 1 or entry.shape else ""
            for kind in self._kinds:
                table.update(columns(kind, found[entry.name][kind.name], name, self._function.input_names))
        if not self._has_header:
            self._stream.write(",".join(table) + "\n")
            self._has_header = True
        write_rows(self._stream, list(table.values()))

    def finish(self) -> None:
        """Write nothing: every row is complete."""


class JsonRows:
    """One JSON object with an array for each output and each derivative; kept in memory until it is complete."""

    def __init__(self, stream: TextIO, function: FunctionInfo, kinds: Sequence[Kind]) -> None:
        """Start with no rows."""
        self._stream = stream
        self._function = function
        self._kinds = kinds
        self._results: list[Result] = []

    def add(self, result: Result) -> None:
        """Keep the results of the next rows."""
        self._results.append(result)

    def finish(self) -> None:
        """Write the object."""
        parts = [derivatives(result, self._kinds, self._function) for result in self._results]
        outputs: dict[str, dict[str, Any]] = {}
        for entry in self._function.outputs:
            values = [by_output(self._function, result.values)[entry.name] for result in self._results]
            outputs[entry.name] = {"value": np.concatenate(values)}
            for kind in self._kinds:
                whole = np.concatenate([part[entry.name][kind.name] for part in parts])
                outputs[entry.name][kind.name] = named(kind, whole, self._function.input_names)
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
