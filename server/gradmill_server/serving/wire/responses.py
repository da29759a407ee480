"""Answers: from what the handler found to bytes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from google.protobuf import duration_pb2
from google.rpc import status_pb2
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2

from gradmill_server.engine.derivatives.patterns import SparsePattern
from gradmill_server.engine.explain import ExplainedNode, Explanation
from gradmill_server.engine.ir import Graph
from gradmill_server.engine.ops import ROWS
from gradmill_server.engine.program import ResultArray
from gradmill_server.engine.wants import SPARSE, Kind
from gradmill_server.serving.telemetry import Outcome, Stage
from gradmill_server.serving.wire.answers import DERIVATIVE_OF, MODE_OF, OUTCOME_OF
from gradmill_server.serving.wire.arrays import Encoding, write_array
from gradmill_server.serving.wire.scanning import varint


@dataclass(frozen=True, slots=True)
class EvaluateAnswer:
    """What there is to say about an evaluation.

    Attributes:
        digest: that of the function.
        results: for each wish its results in order, directions first, reduced if that was wished.
        point_flags: uint8 [points].
        patterns: by a wish's number and an output, the places of a sparse matrix.
        known_patterns: the numbers of wishes whose places the caller has kept.
        modes: by a wish's number and an output, how a Jacobian was computed.
        cache: what the cache of programs held.
        stable_forms: names of the stable forms applied.
        seconds: the time that each stage took so far; what writing takes is added to that of encoding.
    """

    digest: bytes
    results: Sequence[Sequence[ResultArray]]
    point_flags: npt.NDArray[np.uint8]
    patterns: Mapping[tuple[int, str], SparsePattern]
    known_patterns: Collection[int]
    modes: Mapping[tuple[int, str], str]
    cache: Outcome
    stable_forms: tuple[str, ...]
    seconds: Mapping[Stage, float]


def write_evaluate(answer: EvaluateAnswer, encoding: Encoding) -> tuple[bytes, float]:
    """Return an answer's bytes, and the seconds that reading and writing arrays took in all."""
    started = time.monotonic()
    message = service_pb2.EvaluateResponse(
        digest=answer.digest, cache=OUTCOME_OF[answer.cache], stable_forms=answer.stable_forms
    )
    for number, results in enumerate(answer.results):
        for result in results:
            entry = message.results.add(
                derivative=DERIVATIVE_OF[result.kind],
                output=result.output,
                with_respect_to=result.with_respect_to,
                second_with_respect_to=result.second_with_respect_to,
            )
            write_array(entry.array, result.array, encoding)
            if result.kind in SPARSE:
                pattern = answer.patterns[number, result.output]
                _write_pattern(entry.pattern, pattern, with_places=number not in answer.known_patterns)
            elif result.kind is Kind.JACOBIAN:
                entry.mode = MODE_OF[answer.modes[number, result.output]]
    if answer.point_flags.any():
        message.point_flags = answer.point_flags.tobytes()
    encode_seconds = answer.seconds.get(Stage.ENCODE, 0.0) + time.monotonic() - started
    _write_timings(message.timings, {**answer.seconds, Stage.ENCODE: encode_seconds})
    return message.SerializeToString(), encode_seconds


def _write_pattern(message: service_pb2.SparsePattern, pattern: SparsePattern, *, with_places: bool) -> None:
    message.rows, message.columns = pattern.shape
    message.places = len(pattern.columns)
    numbers = (np.array(pattern.shape), pattern.row_starts, pattern.columns)
    message.digest = hashlib.sha256(b"".join(part.astype("<u8").tobytes() for part in numbers)).digest()
    if with_places:
        message.row_starts.extend(pattern.row_starts.tolist())
        message.column_indices.extend(pattern.columns.tolist())


def _write_timings(message: service_pb2.Timings, seconds: Mapping[Stage, float]) -> None:
    durations: dict[Stage, duration_pb2.Duration] = {
        Stage.QUEUE: message.queue,
        Stage.COMPILE: message.compile,
        Stage.COMPUTE: message.compute,
        Stage.ENCODE: message.encode,
    }
    for stage, duration in durations.items():
        duration.FromNanoseconds(round(seconds.get(stage, 0.0) * 1e9))


def write_stream_response(sequence: int, response: bytes) -> bytes:
    """Return a stream's message around an answer's bytes, which are not parsed again.

    `EvaluateStreamResponse` by hand: field 1, a varint; field 2, length-delimited.
    """
    head = b"\x08" + varint(sequence) if sequence else b""
    return b"".join((head, b"\x12", varint(len(response)), response))


def write_stream_error(sequence: int, status: status_pb2.Status) -> bytes:
    """Return a stream's message about a message that failed."""
    error = service_pb2.StreamError(code=status.code, message=status.message, status=status.SerializeToString())
    return service_pb2.EvaluateStreamResponse(sequence=sequence, error=error).SerializeToString()


def write_register(digest: bytes, canonical: Graph) -> bytes:
    """Return the bytes that describe a function."""
    message = service_pb2.RegisterFunctionResponse(digest=digest, value_count=len(canonical.nodes))
    for entry in canonical.inputs:
        element_type = graph_pb2.ElementType.Value(entry.element_type.contract_name)
        message.inputs.add(name=entry.name, shape=entry.shape, element_type=element_type)
    for output in canonical.outputs:
        message.outputs.add(name=output.name, shape=canonical.nodes[output.node].shape)
    return message.SerializeToString()


def write_explanation(digest: bytes, explanation: Explanation) -> bytes:
    """Return the bytes of an explanation; its arrays are plain numbers, for people read them."""
    message = service_pb2.ExplainResponse(
        digest=digest, output=explanation.output, stable_forms=explanation.stable_forms
    )
    for node in explanation.nodes:
        _write_node(message.nodes.add(), node)
    return message.SerializeToString()


def _write_node(message: service_pb2.ExplainedNode, node: ExplainedNode) -> None:
    message.label, message.operation, message.expression = node.label, node.operation, node.expression
    write_array(message.value, node.value, Encoding.VALUES)
    write_array(message.adjoint, node.adjoint, Encoding.VALUES)
    for local in node.local_partials:
        entry = message.local_partials.add(argument=local.argument)
        write_array(entry.partial, local.partial, Encoding.VALUES)


def write_operations() -> bytes:
    """Return the bytes that list every operation callers may use, sorted by name."""
    message = service_pb2.ListOperationsResponse()
    for row in sorted(ROWS.values(), key=lambda entry: entry.name):
        if row.internal:
            continue
        entry = message.operations.add(
            name=row.name,
            aliases=row.aliases,
            arity=row.least,
            maximum_arity=row.most or 0,
            summary=row.summary,
            convention=row.convention,
            signature=row.signature,
            result_shape=row.result,
        )
        for name, kind, optional in row.parameter_kinds():
            entry.parameters.add(name=name, kind=kind, optional=optional)
    return message.SerializeToString()
