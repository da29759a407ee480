"""CSV files of points, read and written block by block."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import TextIO

import numpy as np

from gradmill.command_line.problems import CommandError
from gradmill.wire import FloatArray


class PointsFile:
    """The rows of a CSV file, as matrices in the order of the function's inputs."""

    def __init__(self, stream: TextIO, name: str) -> None:
        """Read the first line.

        Raises:
            CommandError: there is none, or a column's name occurs twice.
        """
        self._name = name
        self._reader = csv.reader(stream, skipinitialspace=True)
        self.columns = [column.strip() for column in self._next_row() or ()]
        if not self.columns:
            message = f"{name}: empty; the first line must name the inputs"
            raise CommandError(message)
        for position, column in enumerate(self.columns):
            if column in self.columns[:position]:
                message = f"{name}: column {column!r} occurs twice"
                raise CommandError(message)

    def blocks(self, inputs: Sequence[str], rows: int, *, ignore_extra: bool) -> Iterator[FloatArray]:
        """Yield float64 matrices ``[at most rows, inputs]``; one without rows when the file has none.

        Raises:
            CommandError: a column is missing or unknown, a row has too few or too many cells, or a cell is no number.
        """
        chosen = self._chosen(inputs, ignore_extra=ignore_extra)
        block: list[list[float]] = []
        is_first = True
        while (row := self._next_row()) is not None:
            if not row:
                continue
            block.append(self._numbers(row, chosen))
            if len(block) == rows:
                yield np.array(block).reshape(len(block), len(inputs))
                block, is_first = [], False
        if block or is_first:
            yield np.array(block).reshape(len(block), len(inputs))

    def _next_row(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            message = f"{self._name}, line {self._reader.line_num}: not a readable CSV file ({error})"
            raise CommandError(message) from None

    def _chosen(self, inputs: Sequence[str], *, ignore_extra: bool) -> list[int]:
        missing = [name for name in inputs if name not in self.columns]
        if missing:
            message = f"{self._name}: no column for input {', '.join(missing)}; columns: {', '.join(self.columns)}"
            raise CommandError(message)
        extra = [column for column in self.columns if column not in inputs]
        if extra and not ignore_extra:
            message = (
                f"{self._name}: {', '.join(extra)} is no input of the formula; its inputs: {', '.join(inputs)}\n"
                "Add --ignore-extra to skip such columns."
            )
            raise CommandError(message)
        return [self.columns.index(name) for name in inputs]

    def _numbers(self, row: Sequence[str], chosen: Sequence[int]) -> list[float]:
        line = self._reader.line_num
        if len(row) != len(self.columns):
            message = f"{self._name}, line {line}: {len(row)} cells, but {len(self.columns)} columns"
            raise CommandError(message)
        try:
            return [float(row[position]) for position in chosen]
        except ValueError:
            column, cell = next((self.columns[entry], row[entry]) for entry in chosen if not _is_number(row[entry]))
            message = f"{self._name}, line {line}, column {column}: {cell!r} is not a number"
            raise CommandError(message) from None


def write_rows(stream: TextIO, columns: Sequence[FloatArray]) -> None:
    """Write columns of numbers as CSV rows, each number with the shortest digits that give the same 64 bits back."""
    lines = zip(*(map(repr, column.tolist()) for column in columns), strict=True)
    stream.writelines(",".join(line) + "\n" for line in lines)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
