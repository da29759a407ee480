"""A wish made definite for a function and a batch of points: the wants to send, and the arrays to come back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from gradmill.descriptions import FunctionInfo, OutputInfo
from gradmill.directions import Directions, Target, pack_directions
from gradmill.errors import invalid_want
from gradmill.graph import Shape, size
from gradmill.kinds import Kind
from gradmill.points import Batch
from gradmill.settings import Batching
from gradmill.sparse import PatternKey, SparsePattern
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.wishes import Wish

_PLACES_PER_LINE = 8
"""How many places a row or a column of a sparse matrix is taken to have before its pattern is known."""


class ArrayKey(NamedTuple):
    """What names an array of an answer: the kind's number, the output, and up to two inputs."""

    kind: int
    output: str
    with_respect_to: str = ""
    second_with_respect_to: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """An array of an answer.

    Attributes:
        kind: its kind.
        shape: that of one point and one direction; None for a sparse matrix, whose number of places the answer tells.
        directions: the number of directions, whose axis comes first; 0 for none.
    """

    kind: Kind
    shape: Shape | None
    directions: int


class Plan:
    """What to send and what to expect.

    Attributes:
        function: what is known of the function.
        batch: the points.
        wish: what is wanted of them.
        wanted: the inputs to differentiate by, in declared order, with their shapes.
        outputs: the outputs whose results are wanted, in declared order.
        directions: by the name of a kind that takes them, its directions.
        arrays: what is to come back.
    """

    def __init__(self, function: FunctionInfo, batch: Batch, wish: Wish) -> None:
        """Check a wish against a function.

        Raises:
            InvalidRequestError: a name in ``with_respect_to`` or ``outputs`` is unknown or stands twice, or directions
                do not fit.
        """
        self.function = function
        self.batch = batch
        self.wish = wish
        self.wanted = wanted_inputs(function, wish.with_respect_to)
        self.outputs = wanted_outputs(function, wish.outputs)
        self.directions = {kind.name: self._directions_of(kind) for kind in wish.kinds if kind.directions}
        self.arrays = {key: entry for kind in wish.kinds for key, entry in self._expected(kind)}

    def _directions_of(self, kind: Kind) -> Directions:
        if kind.by_output:
            target = Target(kind.directions, "input", self.wanted)
        else:
            shapes = {output.name: output.shape for output in self.outputs}
            target = Target(kind.directions, "output", shapes)
        return pack_directions(self.wish.directions[kind.directions], target, self.batch)

    def _expected(self, kind: Kind) -> Iterator[tuple[ArrayKey, Expected]]:
        directions = self.directions[kind.name].count if kind.directions else 0
        for output in self.outputs if kind.by_output else (None,):
            name = output.name if output else ""
            if kind.is_sparse:
                yield ArrayKey(kind.number, name), Expected(kind, None, 0)
                continue
            leading = output.shape if output and kind.has_output_axes else ()
            for names, shape in self._by_inputs(kind):
                yield ArrayKey(kind.number, name, *names), Expected(kind, leading + shape, directions)

    def _by_inputs(self, kind: Kind) -> Iterator[tuple[tuple[str, ...], Shape]]:
        """Yield the inputs that name an array, and the axes that it has for them."""
        if self.batch.matrix is not None or not kind.input_axes:
            yield (), (self.wanted_elements,) * kind.input_axes
            return
        for entries in itertools.product(self.wanted.items(), repeat=kind.input_axes):
            names = tuple(name for name, _ in entries)
            yield names, tuple(itertools.chain.from_iterable(shape for _, shape in entries))

    @property
    def wanted_elements(self) -> int:
        """The number of elements of all wanted inputs."""
        return sum(map(size, self.wanted.values()))

    @cached_property
    def column_ranges(self) -> dict[str, slice]:
        """For each wanted input, the places of its elements among those of all wanted inputs."""
        ends = list(itertools.accumulate(map(size, self.wanted.values())))
        return {
            name: slice(end - size(shape), end) for (name, shape), end in zip(self.wanted.items(), ends, strict=True)
        }

    @property
    def sparse_keys(self) -> dict[ArrayKey, PatternKey]:
        """The sparse matrices to come, each with the key under which its pattern is remembered."""
        return {
            ArrayKey(kind.number, output.name): (self.function.digest, kind.number, tuple(self.wanted), output.name)
            for kind in self.wish.kinds
            if kind.is_sparse
            for output in self.outputs
        }

    def wants(self, start: int, stop: int, *, known: Mapping[ArrayKey, SparsePattern]) -> list[service.Want]:
        """Return the wants for the points ``start`` to ``stop``; patterns that are known are left out of the answer.

        The first message of a batch asks for the patterns that are not known, the others for none.
        """
        return [self._want(kind, start, stop, known) for kind in self.wish.kinds]

    def _want(self, kind: Kind, start: int, stop: int, known: Mapping[ArrayKey, SparsePattern]) -> service.Want:
        if kind.directions:
            return self._directed_want(kind, start, stop)
        by = self.wish.with_respect_to if kind.name != "value" else ()
        is_known = all(ArrayKey(kind.number, output.name) in known for output in self.outputs)
        omits_pattern = kind.is_sparse and (is_known or start > 0)
        return service.Want(
            derivative=kind.number, outputs=self.wish.outputs, with_respect_to=by, omit_pattern=omits_pattern
        )

    def _directed_want(self, kind: Kind, start: int, stop: int) -> service.Want:
        directions = self.directions[kind.name]
        want = service.Want(derivative=kind.number, directions=directions.message(start, stop))
        # What is not named is zero, so that the server need not look at it.
        want.outputs.extend(self.wish.outputs if kind.by_output else directions.names)
        moving = directions.names if kind.name == "jvp" else ()
        want.with_respect_to.extend(moving or self.wish.with_respect_to)
        return want

    def points_per_message(self, batching: Batching, known: Mapping[ArrayKey, SparsePattern]) -> int:
        """Return how many points to put into a message.

        With a reduction it is a power of two, for the reason that :class:`~gradmill.sums.OrderedSums` gives.
        """
        per_point = self.batch.bytes_per_point + sum(entry.bytes_per_point for entry in self.directions.values())
        if self.wish.reduction is None:
            return batching.points_per_message(per_point, self._answer_bytes_per_point(known))
        return 1 << batching.points_per_message(per_point, 1).bit_length() - 1

    @property
    def answer_bytes_per_point(self) -> int:
        """About how many bytes the results of one point have."""
        return self._answer_bytes_per_point({})

    def _answer_bytes_per_point(self, known: Mapping[ArrayKey, SparsePattern]) -> int:
        elements = 0
        for key, expected in self.arrays.items():
            if expected.shape is not None:
                elements += size(expected.shape) * max(1, expected.directions)
            elif key in known:
                elements += len(known[key].column_indices)
            else:
                elements += self._likely_places(key)
        return self.batch.element_bytes * elements + 1

    def _likely_places(self, key: ArrayKey) -> int:
        columns = self.wanted_elements
        rows = next(
            (size(output.shape) for output in self.outputs if output.name == key.output and output.shape),
            columns,
        )
        return min(rows * columns, _PLACES_PER_LINE * (rows + columns))


def wanted_inputs(function: FunctionInfo, with_respect_to: Sequence[str]) -> dict[str, Shape]:
    """Return the inputs that derivatives are wanted by, in declared order, with their shapes; no names means all.

    Raises:
        InvalidRequestError: a name is unknown, or is named twice.
    """
    chosen = _chosen("with_respect_to", "input", with_respect_to, function.input_names)
    return {entry.name: entry.shape for entry in function.inputs if entry.name in chosen}


def wanted_outputs(function: FunctionInfo, names: Sequence[str]) -> tuple[OutputInfo, ...]:
    """Return the outputs that results are wanted of, in declared order; no names means all.

    Raises:
        InvalidRequestError: a name is unknown, or is named twice.
    """
    chosen = _chosen("outputs", "output", names, [entry.name for entry in function.outputs])
    return tuple(entry for entry in function.outputs if entry.name in chosen)


def _chosen(argument: str, what: str, names: Sequence[str], known: Sequence[str]) -> set[str]:
    """Return the names as a set, all that are known when there are none."""
    every, named = set(known), set[str]()
    for name in names:
        if name not in every or name in named:
            problem = "is named twice" if name in every else f"is no {what}; the {what}s: {', '.join(known)}"
            message = f"{argument}: {name!r} {problem}"
            raise invalid_want(message, name=name)
        named.add(name)
    return named or every
