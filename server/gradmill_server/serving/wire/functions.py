"""Functions on the wire: a digest, a graph, or a formula."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, overload

import numpy as np
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2

from gradmill_server.engine.canonical import DIGEST_BYTES
from gradmill_server.engine.check import check, check_inputs
from gradmill_server.engine.checkpoints import Checkpoint, never
from gradmill_server.engine.drafts import (
    DraftConstant,
    DraftFunction,
    DraftInput,
    DraftNode,
    DraftOutput,
    DraftParameters,
    GraphDraft,
)
from gradmill_server.engine.element_types import ElementType, widened
from gradmill_server.engine.errors import InvalidGraph, LimitExceeded, quote
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import Graph, ParameterValue
from gradmill_server.engine.limits import Limits
from gradmill_server.serving.errors import RequestMalformed
from gradmill_server.serving.wire.arrays import read_element_type, read_elements

Message = TypeVar("Message")
Draft = TypeVar("Draft")


@dataclass(frozen=True, slots=True)
class DigestReference:
    """A function named by its digest: 32 bytes."""

    digest: bytes


class InlineFunction(Protocol):
    """A function that came in full, not looked at yet."""

    @property
    def source_key(self) -> bytes:
        """SHA-256 of the function as it was sent: equal only for what means the same."""

    def read(self, limits: Limits, checkpoint: Checkpoint = never) -> Graph:
        """Return the graph it means, as sent: with the labels people gave, before canonical form.

        Slow for a large one, and calls the checkpoint every few milliseconds. Raises InvalidGraph, InvalidFormula,
        LimitExceeded or UnsupportedWish.
        """


FunctionReference = DigestReference | InlineFunction


def read_function(message: service_pb2.Function, field: str = "function") -> FunctionReference:
    """Return the function that a message names or carries.

    Raises:
        RequestMalformed: when it does neither, or the digest has another length.
    """
    match message.WhichOneof("function"):
        case "digest":
            if len(message.digest) != DIGEST_BYTES:
                description = f"a digest has {DIGEST_BYTES} bytes, this one has {len(message.digest)}"
                raise RequestMalformed.at(
                    field=f"{field}.digest",
                    reason="DIGEST_INVALID",
                    description=description,
                    value=str(len(message.digest)),
                )
            return DigestReference(message.digest)
        case "graph":
            return _InlineGraph(message.graph, f"{field}.graph", _source_key(b"graph", message.graph))
        case "formula":
            return _InlineFormula(message.formula, f"{field}.formula", _source_key(b"formula", message.formula))
        case _:
            description = "no function; give its digest, a graph or a formula"
            raise RequestMalformed.at(field=field, reason="FUNCTION_MISSING", description=description)


def _source_key(kind: bytes, message: graph_pb2.Graph | graph_pb2.Formula) -> bytes:
    return hashlib.sha256(kind + b"\0" + message.SerializeToString(deterministic=True)).digest()


@dataclass(frozen=True, slots=True)
class _InlineGraph:
    message: graph_pb2.Graph
    field: str
    source_key: bytes

    def read(self, limits: Limits, checkpoint: Checkpoint = never) -> Graph:
        return check(_draft(self.message, self.field, limits), limits, field=self.field, checkpoint=checkpoint)


@dataclass(frozen=True, slots=True)
class _InlineFormula:
    message: graph_pb2.Formula
    field: str
    source_key: bytes

    def read(self, limits: Limits, checkpoint: Checkpoint = never) -> Graph:
        declared = _DraftInputs(self.message.inputs, f"{self.field}.inputs", limits)
        inputs = check_inputs(declared, limits, field=self.field, checkpoint=checkpoint) if declared else None
        return parse_formula(self.message.text, inputs, limits, checkpoint)


def _draft(message: graph_pb2.Graph, field: str, limits: Limits) -> GraphDraft:
    return GraphDraft(
        inputs=_DraftInputs(message.inputs, f"{field}.inputs", limits),
        constants=_DraftConstants(message.constants, f"{field}.constants", limits),
        operation_names=list(message.operation_names),
        nodes=_DraftNodes(message.nodes, f"{field}.nodes", limits),
        outputs=_DraftOutputs(message.outputs, f"{field}.outputs", limits),
        functions=_DraftFunctions(message.functions, f"{field}.functions", limits),
    )


class _Drafts(Sequence[Draft], ABC, Generic[Message, Draft]):
    """Messages, each of which is drafted when it is looked at: together the drafts would be larger than the graph."""

    def __init__(self, messages: Sequence[Message], field: str, limits: Limits) -> None:
        self._messages = messages
        self._field = field
        self._limits = limits

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, position: int) -> Draft: ...

    @overload
    def __getitem__(self, position: slice) -> list[Draft]: ...

    def __getitem__(self, position: int | slice) -> Draft | list[Draft]:
        if isinstance(position, slice):
            return [self[place] for place in range(*position.indices(len(self)))]
        return self._draft(position, self._messages[position])

    def __iter__(self) -> Iterator[Draft]:
        for position, message in enumerate(self._messages):
            yield self._draft(position, message)

    @abstractmethod
    def _draft(self, position: int, message: Message) -> Draft:
        """Return the draft of a message, given its place in the list."""


class _DraftFunctions(_Drafts[graph_pb2.Graph, GraphDraft]):
    def _draft(self, position: int, message: graph_pb2.Graph) -> GraphDraft:
        return _draft(message, f"{self._field}[{position}]", self._limits)


class _DraftNodes(_Drafts[graph_pb2.Node, DraftNode]):
    def _draft(self, position: int, message: graph_pb2.Node) -> DraftNode:
        field = f"{self._field}[{position}]" if message.parameters else ""
        parameters = _parameters(message, field, self._limits) if field else ()
        # Sliced, because going through a repeated field one by one takes twice as long.
        return DraftNode(message.operation, message.arguments[:], parameters, message.name)


class _DraftInputs(_Drafts[graph_pb2.Input, DraftInput]):
    def _draft(self, position: int, message: graph_pb2.Input) -> DraftInput:
        element_type = read_element_type(message.element_type, f"{self._field}[{position}].element_type")
        return DraftInput(message.name, message.shape, element_type)


class _DraftConstants(_Drafts[graph_pb2.Array, DraftConstant]):
    def _draft(self, position: int, message: graph_pb2.Array) -> DraftConstant:
        # The check of graphs compares the shape with the elements.
        elements = read_elements(message, f"{self._field}[{position}]", InvalidGraph.from_violations)
        if elements.dtype == np.float32:
            return DraftConstant(message.shape, widened(elements), ElementType.FLOAT32)
        return DraftConstant(message.shape, elements)


class _DraftOutputs(_Drafts[graph_pb2.Output, DraftOutput]):
    def _draft(self, _position: int, message: graph_pb2.Output) -> DraftOutput:
        return DraftOutput(message.name, message.value)


def _parameters(node: graph_pb2.Node, field: str, limits: Limits) -> DraftParameters:
    parameters: list[tuple[str, ParameterValue | DraftFunction]] = []
    for position, parameter in enumerate(node.parameters):
        place = f"{field}.parameters[{position}]"
        _check_length(len(parameter.integers.values), place, limits)
        value = _parameter_value(parameter)
        if value is None:
            description = f"parameter {quote(parameter.name)} has no value"
            raise RequestMalformed.at(field=place, reason="PARAMETER_MISSING", description=description)
        parameters.append((parameter.name, value))
    return tuple(parameters)


def _check_length(length: int, field: str, limits: Limits) -> None:
    """Let a list pass whose numbers can be places of one value; copying a longer one would keep other calls waiting."""
    if length > limits.maximum_elements_per_value:
        raise LimitExceeded.of(
            what="whole numbers in one list",
            reason="LIST_TOO_LONG",
            value=length,
            limit=limits.maximum_elements_per_value,
            knob="maximum_elements_per_value",
            field=field,
        )


def _parameter_value(parameter: graph_pb2.Parameter) -> ParameterValue | DraftFunction | None:
    match parameter.WhichOneof("value"):
        case "integer":
            return parameter.integer
        case "number":
            return parameter.number
        case "text":
            return parameter.text
        case "integers":
            return tuple(parameter.integers.values)
        case "function":
            return DraftFunction(parameter.function)
        case _:
            return None
