"""A gRPC server that returns what it gets: what a service on grpcio can reach at best.

``python -m tests.benchmarks.serving.echo_server [uvloop]`` says its port in JSON, and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from tests.benchmarks.serving.conversation import announce

UNARY, STREAM = "/echo/Unary", "/echo/Stream"

_Context = grpc.aio.ServicerContext[bytes, bytes]


async def _unary(body: bytes, _: _Context) -> bytes:
    return body


async def _stream(bodies: AsyncIterator[bytes], _: _Context) -> AsyncIterator[bytes]:
    async for body in bodies:
        yield body


async def serve() -> None:
    """Listen on a free port of this machine, say it, and serve."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Unary": grpc.unary_unary_rpc_method_handler(_unary),
        "Stream": grpc.stream_stream_rpc_method_handler(_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    announce(port=port)
    await server.wait_for_termination()


if __name__ == "__main__":
    if "uvloop" in sys.argv[1:]:
        import uvloop

        uvloop.run(serve())
    else:
        asyncio.run(serve())
