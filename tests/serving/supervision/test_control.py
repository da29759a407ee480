"""The channel between supervisor and worker."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from gradmill_server.serving.supervision.control import ControlChannel, Kind


class _Ends:
    """A channel, and the bare socket at its other end."""

    def __init__(self) -> None:
        self.heard: list[tuple[Kind, dict[str, Any]]] = []
        self.closed = asyncio.Event()

    async def open(self) -> None:
        ours, self.other = socket.socketpair()
        self.other.setblocking(False)  # noqa: FBT003 - the standard library's own
        self.channel = await ControlChannel.over(
            ours, lambda kind, message: self.heard.append((kind, message)), self.closed.set
        )


async def _heard(count: int, ends: _Ends) -> None:
    while len(ends.heard) < count:  # noqa: ASYNC110 - a channel has no event for this
        await asyncio.sleep(0.001)


def test_messages_arrive_whole() -> None:
    """Messages are taken apart however their bytes arrive."""

    async def scenario() -> None:
        ends = _Ends()
        await ends.open()
        for piece in (b'{"kind": "be', b'at", "number": 1}\n{"kind": "drain"}\n{"ki', b'nd": "ask", "number": 2}\n'):
            await asyncio.get_running_loop().sock_sendall(ends.other, piece)
            await asyncio.sleep(0.001)
        await _heard(3, ends)
        assert ends.heard == [(Kind.BEAT, {"number": 1}), (Kind.DRAIN, {}), (Kind.ASK, {"number": 2})]
        ends.other.close()
        await ends.closed.wait()
        ends.channel.send(Kind.DRAIN)

    asyncio.run(scenario())


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b'{"kind": "unheard of"}\n', b"{}\n", b'"' * 1_100_000])
def test_nonsense_closes_the_channel(line: bytes) -> None:
    """What is no message of a known kind, or never ends, closes the channel instead of filling memory."""

    async def scenario() -> None:
        ends = _Ends()
        await ends.open()
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(ends.other, line))
        await ends.closed.wait()
        assert not ends.heard
        sending.cancel()
        ends.other.close()

    asyncio.run(scenario())


def test_a_peer_that_does_not_read_fills_no_memory() -> None:
    """What waits for a peer that does not read is bounded; the rest is dropped."""

    async def scenario() -> None:
        ends = _Ends()
        await ends.open()
        for number in range(5_000):
            ends.channel.send(Kind.BEAT, number=number, text="x" * 1_000)
        received = 0
        while True:
            try:
                received += len(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ends.other, 65_536), 0.2))
            except TimeoutError:
                break
        assert 0 < received < 2_000_000
        ends.channel.close()
        await ends.closed.wait()
        ends.other.close()

    asyncio.run(scenario())
