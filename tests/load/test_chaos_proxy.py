"""The chaos proxy does to connections what its modes say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.load.chaos_proxy import ChaosProxy, Mode

_PATIENCE_SECONDS = 10.0
Scenario = Callable[[ChaosProxy, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def through_proxy(scenario: Scenario) -> None:
    """Run a scenario over a connection through a proxy to a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass  # reset, as some scenarios want
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server, ChaosProxy(f"{host}:{port}") as proxy:
            proxy_host, _, proxy_port = proxy.address.rpartition(":")
            reader, writer = await asyncio.open_connection(proxy_host, int(proxy_port))
            await asyncio.wait_for(scenario(proxy, reader, writer), _PATIENCE_SECONDS)
            writer.transport.abort()

    asyncio.run(run())


@pytest.mark.parametrize(
    "mode", [Mode.FAITHFUL, Mode.DELAYED, Mode.SLOW_READER, Mode.TRICKLE], ids=lambda mode: mode.name
)
def test_bytes_arrive_whole_in_every_mode_that_passes_them(mode: Mode) -> None:
    """Late, slow or one by one, what arrives is what was sent."""

    async def scenario(proxy: ChaosProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.become(mode)
        sent = bytes(range(256)) * 2
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent

    through_proxy(scenario)


def test_a_black_hole_keeps_bytes_until_it_ends() -> None:
    """Nothing arrives while the proxy is a black hole, and the connection stays."""

    async def scenario(proxy: ChaosProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.become(Mode.BLACK_HOLE)
        writer.write(b"lost?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(reading := asyncio.ensure_future(reader.readexactly(5))), 0.1)
        proxy.become(Mode.FAITHFUL)
        assert await reading == b"lost?"

    through_proxy(scenario)


def test_a_reset_reaches_the_caller_as_an_error() -> None:
    """Connections that are reset end at once and without a farewell."""

    async def scenario(proxy: ChaosProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        proxy.reset_connections()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)

    through_proxy(scenario)


def test_a_half_closed_connection_is_ended_by_the_server() -> None:
    """A goodbye said in the caller's name lets the server end the connection, which the caller then hears."""

    async def scenario(proxy: ChaosProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        proxy.half_close_connections()
        assert await reader.read() == b""

    through_proxy(scenario)
