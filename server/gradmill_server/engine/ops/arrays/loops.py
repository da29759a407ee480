"""Bodies applied: once by a call, again and again by a loop.

A loop (`scan`) keeps some values from step to step, its carries, looks at one element of each of its sequences in each
step, and may give an element of each of its stacked results in each step. Steps may run from the last element to the
first. The value of a loop is flat: the carries after the last step, then the stacked results, each with its elements
row by row; whoever wants a part takes a slice and gives it its shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from gradmill_server.engine.errors import quote
from gradmill_server.engine.ir import Body, Graph, Parameters, Shape, size
from gradmill_server.engine.ops.array_operation import ArrayOperation, Parameter, ParameterMap, integer
from gradmill_server.engine.ops.arrays.axes import LARGEST_EXTENT, mismatch, refused
from gradmill_server.engine.ops.arrays.movement import part, reshaped
from gradmill_server.engine.ops.value import Value

SCAN = "scan"
CALL = "call"


class Loop(NamedTuple):
    """The static parameters of a loop, and what follows from them.

    Attributes:
        body: what a step computes: from the carries, an element of each sequence and the constants, in this order, the
            new carries and an element of each stacked result.
        steps: how many there are.
        carries: how many values are kept from step to step.
        sequences: how many sequences are walked through.
        reverse: whether the last element comes first.
    """

    body: Body
    steps: int
    carries: int
    sequences: int
    reverse: bool = False

    @classmethod
    def of(cls, parameters: ParameterMap) -> Loop:
        """Read the parameters of an operation."""
        steps, carries, sequences, reverse = (
            integer(parameters, name) for name in ("steps", "carries", "sequences", "reverse")
        )
        return cls(body_parameter(SCAN, parameters), steps, carries, sequences, bool(reverse))

    @property
    def parameters(self) -> Parameters:
        """The parameters, as an operation has them."""
        always: Parameters = (
            ("carries", self.carries),
            ("function", self.body),
            ("sequences", self.sequences),
            ("steps", self.steps),
        )
        return (*always, ("reverse", 1)) if self.reverse else always

    @property
    def order(self) -> range:
        """The steps in the order in which they run."""
        return range(self.steps - 1, -1, -1) if self.reverse else range(self.steps)

    @property
    def input_shapes(self) -> list[Shape]:
        """The shapes of the body's inputs."""
        return [entry.shape for entry in self.body.graph.inputs]

    @property
    def argument_shapes(self) -> list[Shape]:
        """The shapes of the arguments: those of the body's inputs, and those of sequences with the steps in front."""
        shapes = enumerate(self.input_shapes)
        return [(self.steps, *shape) if self.is_sequence(place) else shape for place, shape in shapes]

    @property
    def part_shapes(self) -> list[Shape]:
        """The shapes of the parts of the result: of the last carries, and of the stacked results."""
        shapes = output_shapes(self.body.graph)
        return [*shapes[: self.carries], *((self.steps, *shape) for shape in shapes[self.carries :])]

    @property
    def part_starts(self) -> list[int]:
        """Where each part of the flat result begins, and at the end, where it ends."""
        return [0, *accumulate(size(shape) for shape in self.part_shapes)]

    def role(self, place: int) -> int:
        """Return what an argument is: 0 a carry, 1 a sequence, 2 a constant."""
        return int(place >= self.carries) + int(place >= self.carries + self.sequences)

    def is_sequence(self, place: int) -> bool:
        """Whether an argument is a sequence."""
        return self.carries <= place < self.carries + self.sequences


def output_shapes(graph: Graph) -> list[Shape]:
    """Return the shapes of a graph's outputs."""
    return [graph.nodes.shape(output.node) for output in graph.outputs]


def body_parameter(operation: str, parameters: ParameterMap) -> Body:
    """Return the parameter that is a body."""
    body = parameters["function"]
    if not isinstance(body, Body):
        raise refused(operation=operation, parameter="function", problem="is no function")
    return body


def _scan_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    _check_counts(parameters, len(shapes))
    loop = Loop.of(parameters)
    expected = loop.input_shapes
    for place, (name, wanted) in enumerate(zip(loop.body.graph.inputs, expected, strict=True)):
        is_sequence = loop.is_sequence(place)
        full = (loop.steps, *wanted) if is_sequence else wanted
        if shapes[place] == full:
            continue
        given = shapes[place]
        if is_sequence and given[:1] != (loop.steps,):
            length = f"length {given[0]}" if given else "no length"
            problem = f"sequence {quote(name.name)} has {length}, but there are {loop.steps} steps"
            raise mismatch(given, full, operation=SCAN, problem=problem)
        problem = f"the body's input {quote(name.name)} has shape {wanted}, so argument {place} must have {full}"
        raise mismatch(given, full, operation=SCAN, problem=problem)
    for place, (before, after) in enumerate(
        zip(expected, output_shapes(loop.body.graph)[: loop.carries], strict=False)
    ):
        if before != after:
            problem = f"carry {place} comes into the body with the first shape and out of it with the second"
            raise mismatch(before, after, operation=SCAN, problem=problem)
    return (loop.part_starts[-1],)


def _check_counts(parameters: ParameterMap, arguments: int) -> None:
    """Let counts pass that fit the body and the number of arguments.

    Raises:
        InvalidParameter: naming the parameter, with the numbers that do not fit.
    """
    graph = body_parameter(SCAN, parameters).graph
    steps = integer(parameters, "steps")
    if not 1 <= steps < LARGEST_EXTENT:
        raise refused(
            operation=SCAN, parameter="steps", problem=f"is {steps}, but there are from 1 to {LARGEST_EXTENT - 1}"
        )
    if integer(parameters, "reverse") not in {0, 1}:
        raise refused(operation=SCAN, parameter="reverse", problem="is neither 0 nor 1")
    inputs, outputs = len(graph.inputs), len(graph.outputs)
    if arguments != inputs:
        raise refused(
            operation=SCAN, parameter="function", problem=f"has {inputs} inputs, but there are {arguments} arguments"
        )
    carries, sequences = integer(parameters, "carries"), integer(parameters, "sequences")
    if not 0 <= carries <= outputs:
        raise refused(operation=SCAN, parameter="carries", problem=f"is {carries}, but the body has {outputs} outputs")
    if sequences < 0 or carries + sequences > inputs:
        what = f"is {sequences}, but beside {carries} carries the body has {inputs - carries} inputs"
        raise refused(operation=SCAN, parameter="sequences", problem=what)


def _call_shape(parameters: ParameterMap, shapes: Sequence[Shape]) -> Shape:
    graph = body_parameter(CALL, parameters).graph
    if len(graph.inputs) != len(shapes):
        raise refused(
            operation=CALL,
            parameter="function",
            problem=f"has {len(graph.inputs)} inputs, but there are {len(shapes)} arguments",
        )
    for entry, shape in zip(graph.inputs, shapes, strict=True):
        if entry.shape != shape:
            problem = f"the body's input {quote(entry.name)} has the second shape, its argument the first"
            raise mismatch(shape, entry.shape, operation=CALL, problem=problem)
    output = integer(parameters, "output")
    if not 0 <= output < len(graph.outputs):
        raise refused(
            operation=CALL,
            parameter="output",
            problem=f"is {output}, but the body has {len(graph.outputs)} outputs, counted from 0",
        )
    return output_shapes(graph)[output]


CALL_ROW = ArrayOperation(
    name=CALL,
    summary="One output of a function that the graph brings along, applied to the arguments.",
    signature="",
    result="that of the output",
    least=0,
    most=None,
    parameters=(Parameter("function", Body), Parameter("output", int, optional=True)),
    shape=_call_shape,
)

SCAN_ROW = ArrayOperation(
    name=SCAN,
    summary="A function that the graph brings along, applied step by step to carries, sequences and constants.",
    signature="",
    result="a vector: final carries, then what each step gives, all flattened",
    most=None,
    parameters=(
        Parameter("function", Body),
        Parameter("steps", int),
        Parameter("carries", int),
        Parameter("sequences", int),
        Parameter("reverse", int, optional=True),
    ),
    shape=_scan_shape,
    repeats=True,
)
"""Without its derivatives, which are made of it."""


def scanned(loop: Loop, arguments: Sequence[Value]) -> Value:
    """Add a loop to the graph that its arguments belong to; return its flat value."""
    return SCAN_ROW.apply(*arguments, **dict(loop.parameters))


def parts_of(loop: Loop, flat: Value) -> list[Value]:
    """Return the last carries and the stacked results, [steps, *shape], out of a loop's flat value."""
    return [
        reshaped(part(flat, 0, start, size(shape)), shape)
        for start, shape in zip(loop.part_starts, loop.part_shapes, strict=False)
    ]
