"""What mutated inputs are given to, and what must hold whatever they are."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from google.rpc import code_pb2, status_pb2
from gradmill.v1.gradient_service_pb2 import EvaluateStreamResponse
from gradmill_server.engine import ops
from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.checkpoints import never
from gradmill_server.engine.errors import EngineError
from gradmill_server.engine.formula import parse_formula
from gradmill_server.engine.ir import Graph, Input
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.passes.expand import expand
from gradmill_server.engine.points import PointBatch
from gradmill_server.engine.program import Options, compile_program
from gradmill_server.engine.wants import Kind, resolve_want
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.status import RpcFailure

from tests.hostile.fuzz.messages import METHODS

LIMITS = Limits(
    maximum_nodes=400,
    maximum_inputs=20,
    maximum_outputs=10,
    maximum_elements_per_value=64,
    maximum_constant_elements=200,
    maximum_formula_characters=500,
    maximum_formula_depth=40,
    maximum_functions=5,
    maximum_loop_depth=3,
    maximum_loop_bytes=4_096,
    maximum_program_nodes=2_000,
    maximum_pattern_bytes=10_000,
    maximum_points=50,
    maximum_directions=5,
    maximum_result_bytes=20_000,
    maximum_scratch_bytes=1_000_000,
)
"""Small, so that an input takes little time."""

FORBIDDEN = frozenset({code_pb2.INTERNAL, code_pb2.UNKNOWN, code_pb2.DATA_LOSS})
_PATIENCE_SECONDS = 0.2


class Broken(AssertionError):
    """What must hold did not."""


class RequestTarget:
    """A handler in this process. Every input is answered, or refused with a status that is the caller's business."""

    def __init__(self) -> None:
        """Start a handler of small limits and a small cache."""
        self._loop = asyncio.new_event_loop()
        settings = replace(Settings(), workers=1, cache_bytes=2_000_000, maximum_wants=4, limits=LIMITS)
        self._handler = self._loop.run_until_complete(_made(settings))

    def __call__(self, data: bytes) -> bool:
        """Give an input to the method that its first byte says; return whether it was answered. Raises Broken."""
        method, _ = METHODS[(data[0] if data else 0) % len(METHODS)]
        ask = self._stream(data[1:]) if method == "EvaluateStream" else self._call(method, data[1:])
        status = self._loop.run_until_complete(ask)
        if status is not None and status.code in FORBIDDEN:
            message = f"{method}: {code_pb2.Code.Name(status.code)}: {status.message}"
            raise Broken(message)
        return status is None

    async def _call(self, method: str, body: bytes) -> status_pb2.Status | None:
        try:
            await self._handler.call(method, body, self._handler.context(_PATIENCE_SECONDS, "fuzz"))
        except RpcFailure as failure:
            return failure.status
        return None

    async def _stream(self, body: bytes) -> status_pb2.Status | None:
        waiting: list[bytes] = [body]
        answers: list[EvaluateStreamResponse] = []

        async def read() -> bytes | None:
            return waiting.pop() if waiting else None

        async def write(answer: bytes) -> None:
            answers.append(EvaluateStreamResponse.FromString(answer))

        await self._handler.evaluate_stream(read, write, self._handler.context(_PATIENCE_SECONDS, "fuzz"))
        if len(answers) > 1:
            message = f"one message of a stream had {len(answers)} answers"
            raise Broken(message)
        failed = answers and answers[0].HasField("error")  # a message that cancels another one has no answer
        return status_pb2.Status.FromString(answers[0].error.status) if failed else None

    def close(self) -> None:
        """End the handler."""
        self._loop.run_until_complete(self._handler.close())
        self._loop.close()


async def _made(settings: Settings) -> Handler:
    return Handler(settings)


_INPUTS = (Input("x", ()), Input("y", ()), Input("v", (3,)), Input("m", (2, 3)))
_POINTS = np.array(
    [
        [0.5, 2.0, 1.0, -2.0, 3.0, 0.25, -0.5, 1.5, 2.5, -3.5, 4.5],
        [-1.0, 0.0, np.inf, 1e300, -0.0, 1.0, 1.0, 1.0, 1e-300, np.nan, 7.0],
    ]
)
_EXACT = frozenset(name for name, row in ops.ROWS.items() if not isinstance(row, ops.Operation) or row.direct)
"""Operations whose results have the same bits wherever they are computed: arithmetic, choice, and moves of elements."""


class FormulaTarget:
    """The road from text to numbers. What is read gives a value and a gradient, or is refused by a typed error."""

    def __call__(self, data: bytes) -> bool:
        """Read, compile and evaluate an input; return whether there are values. Raises Broken for wrong ones."""
        text = data.decode(errors="replace")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                graph = canonicalize(parse_formula(text, _INPUTS, LIMITS))
                values = _evaluated(graph)
            except EngineError as error:
                if error.status in {"INTERNAL", "UNKNOWN"} or not error.message:
                    raise
                return False
            _compare(text, graph, values)
        return True

    def close(self) -> None:
        """Nothing is kept."""


def _evaluated(graph: Graph) -> list[npt.NDArray[np.float64]]:
    """Return all outputs at all points; of scalar ones the gradients are computed as well."""
    scalars = [output.name for output in graph.outputs if not graph.nodes[output.node].shape]
    wants = [resolve_want(graph, Kind.VALUE, [], [])]
    if scalars:
        wants.append(resolve_want(graph, Kind.GRADIENT, scalars, []))
    program = compile_program(graph, tuple(wants), Options(parity=True), LIMITS)
    evaluation = program.evaluate(PointBatch.from_matrix(graph.inputs, _POINTS), LIMITS, never)
    return [np.asarray(result.array) for result in evaluation.arrays[0]]


def _compare(text: str, graph: Graph, values: list[npt.NDArray[np.float64]]) -> None:
    """Compare values with those of the graph as it was written, one NumPy call for each operation."""
    if not all(operation in _EXACT for operation in graph.nodes.operations[len(graph.inputs) :]):
        return
    expanded = expand(graph)
    points = PointBatch.from_matrix(graph.inputs, _POINTS)
    expected = NumpyExecutable(expanded).run(points.block(0, len(_POINTS)), len(_POINTS), never)
    for output, value, reference in zip(graph.outputs, values, expected, strict=True):
        if not np.array_equal(value, np.broadcast_to(reference, value.shape), equal_nan=True):
            message = f"{text!r}: output {output.name} is {value.tolist()}, not {reference.tolist()}"
            raise Broken(message)
