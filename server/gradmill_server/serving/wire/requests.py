"""Requests: from bytes to what the handler works on. Every field is checked that can be without the function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message
from gradmill.v1 import gradient_service_pb2 as service_pb2

from gradmill_server.engine.errors import EngineError, LimitExceeded, UnsupportedWish, quote
from gradmill_server.engine.ir import Graph
from gradmill_server.engine.passes.stable_forms import STABLE_FORM_NAMES
from gradmill_server.engine.program import Options
from gradmill_server.engine.wants import WITH_DIRECTIONS, Kind, Want
from gradmill_server.serving.errors import RequestMalformed
from gradmill_server.serving.wire.arrays import Encoding, enum_name, read_encoding
from gradmill_server.serving.wire.directions import Directions, DirectionsDraft, Target, read_directions
from gradmill_server.serving.wire.functions import FunctionReference, read_function
from gradmill_server.serving.wire.points import PointsDraft

M = TypeVar("M", bound=Message)

EVALUATE_REQUEST = service_pb2.EvaluateRequest
STREAM_REQUEST = service_pb2.EvaluateStreamRequest
REGISTER_REQUEST = service_pb2.RegisterFunctionRequest
EXPLAIN_REQUEST = service_pb2.ExplainRequest

_KIND_OF: dict[int, Kind] = {service_pb2.Derivative.Value(f"DERIVATIVE_{kind.name}"): kind for kind in Kind}


class Reduction(Enum):
    """How results of many points are put together."""

    NONE = "none"
    SUM = "sum"
    MEAN = "mean"


_REDUCTION_OF: dict[int, Reduction] = {
    service_pb2.REDUCTION_UNSPECIFIED: Reduction.NONE,
    service_pb2.REDUCTION_NONE: Reduction.NONE,
    service_pb2.REDUCTION_SUM: Reduction.SUM,
    service_pb2.REDUCTION_MEAN: Reduction.MEAN,
}


class WantDraft(NamedTuple):
    """A wish as sent: names not yet compared with the function's; none means all.

    Attributes:
        kind: what is wanted.
        outputs: of which outputs.
        with_respect_to: by which inputs.
        direction_count: the number of its directions; 0 for a kind without.
        directions: those directions; None for a kind without, and where their number is all that matters.
        omit_pattern: whether the places of a sparse matrix are known to the caller already.
    """

    kind: Kind
    outputs: tuple[str, ...]
    with_respect_to: tuple[str, ...]
    direction_count: int = 0
    directions: DirectionsDraft | None = None
    omit_pattern: bool = False


@dataclass(frozen=True, slots=True)
class EvaluateCall:
    """A request for values and derivatives of some function."""

    wants: tuple[WantDraft, ...]
    points: PointsDraft
    reduction: Reduction
    encoding: Encoding
    options: Options


@dataclass(frozen=True, slots=True)
class StreamCall:
    """One message of a stream.

    Attributes:
        sequence: the caller's number for it.
        function_given: whether it has a function of its own.
        function: that function; None when it has none, or an unusable one.
        call: what it asks, or what is wrong with it.
        timeout_seconds: the time that its caller gives it; None when it does not say.
    """

    sequence: int
    function_given: bool
    function: FunctionReference | None
    call: EvaluateCall | EngineError
    timeout_seconds: float | None = None

    def usable(self) -> EvaluateCall:
        """Return what it asks. Raises what is wrong with it."""
        if isinstance(self.call, EngineError):
            raise self.call
        return self.call


@dataclass(frozen=True, slots=True)
class StreamCancel:
    """A message of a stream that gives up those with its number."""

    sequence: int


@dataclass(frozen=True, slots=True)
class RegisterCall:
    """A request to keep a function, and to compile it for these wishes if there are any."""

    function: FunctionReference
    wants: tuple[WantDraft, ...]


@dataclass(frozen=True, slots=True)
class ExplainCall:
    """A request to show both passes for one output."""

    function: FunctionReference
    points: PointsDraft
    output: str


def _parse(message_type: type[M], body: bytes) -> M:
    message = message_type()
    try:
        message.ParseFromString(body)
    except DecodeError:
        name = message_type.DESCRIPTOR.full_name
        description = f"the request, {len(body)} bytes, is not a valid {name}"
        raise RequestMalformed(description, metadata={"message": name}) from None
    return message


def read_evaluate(body: bytes, maximum_wants: int) -> tuple[FunctionReference, EvaluateCall]:
    """Return the function and the request that bytes mean.

    Raises:
        RequestMalformed: when they mean none, or a field is beyond its set of values.
        LimitExceeded: when there are too many wishes.
        UnsupportedWish: for what this server cannot do.
    """
    message = _parse(service_pb2.EvaluateRequest, body)
    return read_function(message.function), _evaluate_call(message, maximum_wants)


def read_head(head: bytes) -> FunctionReference:
    """Return the function that a request without its points names. Raises RequestMalformed."""
    return read_function(_parse(service_pb2.EvaluateRequest, head).function)


def read_stream_message(body: bytes, maximum_wants: int) -> StreamCall | StreamCancel:
    """Return the message that bytes mean; what is wrong in its fields stands in it, beside its number.

    Raises:
        RequestMalformed: when they mean none at all.
    """
    message = _parse(service_pb2.EvaluateStreamRequest, body)
    if message.cancel:
        return StreamCancel(message.sequence)
    given = message.request.function.WhichOneof("function") is not None
    function: FunctionReference | None = None
    call: EvaluateCall | EngineError
    try:
        if given:
            function = read_function(message.request.function)
        call = _evaluate_call(message.request, maximum_wants)
    except EngineError as error:
        call = error
    timeout = message.timeout
    timeout_seconds = timeout.seconds + timeout.nanos / 1e9 if message.HasField("timeout") else None
    return StreamCall(message.sequence, given, function, call, timeout_seconds)


def _evaluate_call(message: service_pb2.EvaluateRequest, maximum_wants: int) -> EvaluateCall:
    if not message.wants:
        raise RequestMalformed.at(
            field="wants", reason="WANT_MISSING", description="nothing is wanted; ask for at least one derivative"
        )
    enum_name(service_pb2.Reduction, message.reduction, "reduction", "REDUCTION_UNKNOWN")
    return EvaluateCall(
        wants=_wants(message.wants, maximum_wants),
        points=PointsDraft(message.points),
        reduction=_REDUCTION_OF[message.reduction],
        encoding=read_encoding(message.encoding),
        options=_options(message.options),
    )


def read_register(body: bytes, maximum_wants: int) -> RegisterCall:
    """Return the request that bytes mean. Raises like `read_evaluate`."""
    message = _parse(service_pb2.RegisterFunctionRequest, body)
    return RegisterCall(read_function(message.function), _wants(message.wants, maximum_wants, needs_directions=False))


def read_explain(body: bytes) -> ExplainCall:
    """Return the request that bytes mean. Raises RequestMalformed when they mean none."""
    message = _parse(service_pb2.ExplainRequest, body)
    return ExplainCall(read_function(message.function), PointsDraft(message.points), message.output)


def read_list_operations(body: bytes) -> None:
    """Return when bytes mean a request, which has no fields. Raises RequestMalformed when they mean none."""
    _parse(service_pb2.ListOperationsRequest, body)


def _wants(
    messages: Sequence[service_pb2.Want], maximum: int, *, needs_directions: bool = True
) -> tuple[WantDraft, ...]:
    if len(messages) > maximum:
        raise LimitExceeded.of(
            what="number of wishes",
            reason="TOO_MANY_WANTS",
            value=len(messages),
            limit=maximum,
            knob="maximum_wants",
            field="wants",
        )
    return tuple(
        _want(message, f"wants[{position}]", needs_directions=needs_directions)
        for position, message in enumerate(messages)
    )


def _want(message: service_pb2.Want, field: str, *, needs_directions: bool) -> WantDraft:
    kind = _kind(message, field)
    draft = WantDraft(kind, tuple(message.outputs), tuple(message.with_respect_to), omit_pattern=message.omit_pattern)
    takes_directions = kind in WITH_DIRECTIONS
    if message.HasField("directions") != takes_directions:
        if takes_directions and not needs_directions:
            return draft._replace(direction_count=1)
        description = f"DERIVATIVE_{kind.name} {'needs' if takes_directions else 'takes no'} directions"
        reason = "DIRECTIONS_MISSING" if takes_directions else "DIRECTIONS_UNEXPECTED"
        raise RequestMalformed.at(field=f"{field}.directions", reason=reason, description=description)
    if not takes_directions:
        return draft
    directions = read_directions(message.directions, f"{field}.directions")
    return draft._replace(direction_count=directions.count, directions=directions)


def _kind(message: service_pb2.Want, field: str) -> Kind:
    enum_name(service_pb2.Derivative, message.derivative, f"{field}.derivative", "DERIVATIVE_UNKNOWN")
    if message.derivative == service_pb2.DERIVATIVE_UNSPECIFIED:
        available = ", ".join(f"DERIVATIVE_{kind.name}" for kind in Kind)
        description = f"no kind of derivative; ask for one of {available}"
        raise RequestMalformed.at(
            field=f"{field}.derivative", reason="DERIVATIVE_UNKNOWN", description=description, available=available
        )
    return _KIND_OF[message.derivative]


def _options(message: service_pb2.Options) -> Options:
    if message.locate_non_finite:
        field = "options.locate_non_finite"
        message_text = f"{field}: not available; point_flags marks the points, and Explain shows one of them"
        raise UnsupportedWish(message_text, reason="LOCATE_UNSUPPORTED", metadata={"field": field})
    for position, name in enumerate(message.disabled_stable_forms):
        if name not in STABLE_FORM_NAMES:
            known = ", ".join(sorted(STABLE_FORM_NAMES))
            raise RequestMalformed.at(
                field=f"options.disabled_stable_forms[{position}]",
                reason="STABLE_FORM_UNKNOWN",
                description=f"no stable form is called {quote(name)}; there are {known}",
                name=quote(name),
            )
    return Options(parity=message.parity, disabled_stable_forms=frozenset(message.disabled_stable_forms))


def bind_directions(drafts: Sequence[WantDraft], wants: Sequence[Want], graph: Graph, points: int) -> list[Directions]:
    """Return the directions of those wishes that have some, checked against the function and the number of points.

    Args:
        drafts: the wishes as sent.
        wants: the same as the function has them.
        graph: the function.
        points: the number of points.

    Raises:
        InvalidDirections: for directions that do not fit.
    """
    bound = []
    for draft, want in zip(drafts, wants, strict=True):
        if draft.directions is not None:
            bound.append(draft.directions.bind(_target(want, graph), points))
    return bound


def _target(want: Want, graph: Graph) -> Target:
    if want.kind is Kind.VJP:
        outputs = {name: graph.nodes[graph.output(name).node].shape for name in want.outputs}
        return Target("output", outputs, graph.element_type)
    shapes = {entry.name: entry.shape for entry in graph.inputs}
    return Target("input", {name: shapes[name] for name in want.with_respect_to}, graph.element_type)
