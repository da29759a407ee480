"""Traces of the bodies of loops and calls: each is inside another trace, and over when its body returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from gradmill.canonical import body_of, canonicalize
from gradmill.graph import Body, Graph, Input, Operation, Output, Shape, Value, as_parameters
from gradmill.places import refuse
from gradmill.traces import Trace

_CAPTURED = "captured"
"""Stands in a body for a value of the trace around it, until the body is over and the value is an input."""

_running: ContextVar[BodyTrace | None] = ContextVar("innermost body that is being traced", default=None)


class BodyTrace(Trace):
    """The record of one run of a body. What it uses of the traces around it becomes further inputs.

    Attributes:
        name: whose body it is, for messages.
        identity: what tells bodies of one origin from others.
        parent: the trace around it; None while it is not known, because nothing of it was used.
        is_over: whether the body has returned.
    """

    __slots__ = ("identity", "is_over", "name", "parent")

    def __init__(self, name: str, inputs: Sequence[Input], parent: Trace | None, identity: object = None) -> None:
        """Start with these inputs."""
        super().__init__(inputs)
        self.name = name
        self.identity = identity
        self.parent: Trace | None = parent
        self.is_over: bool = False

    def __repr__(self) -> str:
        """Show whose body it is."""
        return f"the body of {self.name}"

    def adopts(self, outer: Trace) -> bool:
        """Take the trace of the first value from outside as the one around this, when it is inside none itself."""
        if isinstance(outer, BodyTrace):
            return False
        self.parent = outer
        return True

    def captured(self, trace: Trace, number: int) -> int:
        """Take in a value of a trace around this one, through all traces between, and return its number here."""
        shape = trace.shape(number)
        between = [self]
        while isinstance(outer := between[-1].parent, BodyTrace) and outer is not trace:
            between.append(outer)
        for body in reversed(between):
            parameters = as_parameters({"number": number})
            number = body._add(Operation(_CAPTURED, (), parameters), shape)  # noqa: SLF001 - of the same class
        return number

    def graph(self, outputs: Mapping[str, int]) -> Graph:  # noqa: ARG002 - refused whatever they are
        """Refuse: a value inside a body is no function of its own.

        Raises:
            TracingError: always.
        """
        refuse(f"a value computed inside {self!r} is no function by itself", "Return it from the body.")

    def finished(self, outputs: Mapping[str, int]) -> tuple[Body, list[int]]:
        """Return the body with these outputs, and the numbers of the values that it uses of the trace around it.

        These become inputs named ``constant0``, ``constant1``, ... in the order in which the outputs come to need them.
        """
        graph = canonicalize(super().graph(outputs))
        shapes = [self.shape(number) for number in outputs.values()]
        used = [number for value in graph.values if (number := _captured_number(value)) is not None]
        added = [Input(f"constant{place}", self._captured_shape(number)) for place, number in enumerate(used)]
        return body_of(_with_inputs(graph, added), shapes), used

    def _captured_shape(self, number: int) -> Shape:
        return self.parent.shape(number) if self.parent is not None else ()


def _captured_number(value: Value) -> int | None:
    if isinstance(value, Operation) and value.name == _CAPTURED:
        number = value.parameters[0].value
        return number if isinstance(number, int) else None
    return None


def _with_inputs(graph: Graph, added: Sequence[Input]) -> Graph:
    """Return a canonical graph with its captured values, in order, as further inputs. It stays canonical."""
    first = len(graph.inputs)
    next_input, next_value = first, first + len(added)
    numbers = list(range(first))
    values: list[Value] = []
    for value in graph.values:
        if _captured_number(value) is not None:
            numbers.append(next_input)
            next_input += 1
            continue
        numbers.append(next_value)
        next_value += 1
        if isinstance(value, Operation):
            value = value._replace(arguments=tuple([numbers[argument] for argument in value.arguments]))  # noqa: PLW2901
        values.append(value)
    outputs = tuple(Output(entry.name, numbers[entry.value]) for entry in graph.outputs)
    return Graph((*graph.inputs, *added), tuple(values), outputs)


def running_body() -> BodyTrace | None:
    """Return the innermost body that is being traced."""
    return _running.get()


def is_running(identity: object) -> bool:
    """Whether a body of this identity is being traced, innermost or around that."""
    trace: Trace | None = _running.get()
    while isinstance(trace, BodyTrace):
        if trace.identity == identity:
            return True
        trace = trace.parent
    return False


@contextmanager
def body_trace(
    name: str, inputs: Sequence[Input], around: Trace | None, identity: object = None
) -> Iterator[BodyTrace]:
    """Give a trace to run a body in. The trace around it is that of the body being traced, if any, or ``around``."""
    running = _running.get()
    trace = BodyTrace(name, inputs, around if running is None else running, identity)
    token = _running.set(trace)
    try:
        yield trace
    finally:
        _running.reset(token)
        trace.is_over = True
