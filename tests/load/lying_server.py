"""A server that knows one right answer and lies about it on request, so that the tool can be seen to notice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import grpc
import grpc.aio
import numpy as np
from gradmill.v1 import gradient_service_pb2 as service

from tests.load.answers import fingerprint, parsed
from tests.load.calling import SERVICE
from tests.load.cases import Case, evaluation_case
from tests.load.workloads import array_message, seed_workload

WORKLOAD = seed_workload(np.array([[2.0, 3.0, 4.0]]))


def right_answer() -> service.EvaluateResponse:
    """Return the right answer to the workload."""
    results = [service.Result(array=array_message(reference.values)) for reference in WORKLOAD.references]
    return service.EvaluateResponse(digest=b"\x01" * 32, results=results)


def honest_case() -> Case:
    """Return the workload as a case whose right answer is known."""
    case = evaluation_case(WORKLOAD)
    return replace(case, right_answer=fingerprint("Evaluate", right_answer().SerializeToString()))


@dataclass(slots=True)
class Lies:
    """What the server does wrong.

    Attributes:
        flip_bit: changes the last bit of a gradient.
        fail_with: fails with this status.
        stream: what happens to a stream's third answer: "double", "drop", "swap" with the fourth, or nothing.
    """

    flip_bit: bool = False
    fail_with: grpc.StatusCode | None = None
    stream: str = ""

    def answer(self) -> service.EvaluateResponse:
        """Return the answer, right or not."""
        answer = right_answer()
        if self.flip_bit:
            array = answer.results[1].array
            array.data = bytes([array.data[0] ^ 1]) + array.data[1:]
        return answer

    def arranged(self, answers: list[bytes]) -> list[bytes]:
        """Return a stream's answers as the lie wants them."""
        head, third, tail = answers[:2], answers[2:3], answers[3:]
        if self.stream == "double":
            return [*head, *third, *third, *tail]
        if self.stream == "drop":
            return [*head, *tail]
        if self.stream == "swap":
            return [*head, *tail[:1], *third, *tail[1:]]
        return answers


@asynccontextmanager
async def lying_server(lies: Lies) -> AsyncIterator[str]:
    """Run such a server and give its address."""

    async def evaluate(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if lies.fail_with is not None:
            await context.abort(lies.fail_with, "as told")
        return lies.answer().SerializeToString()

    async def stream(bodies: AsyncIterator[bytes], _: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        sequences = [parsed(body, service.EvaluateStreamRequest()).sequence async for body in bodies]
        answers = [
            service.EvaluateStreamResponse(sequence=each, response=lies.answer()).SerializeToString()
            for each in sequences
        ]
        for answer in lies.arranged(answers):
            yield answer

    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Evaluate": grpc.unary_unary_rpc_method_handler(evaluate),
        "EvaluateStream": grpc.stream_stream_rpc_method_handler(stream),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
