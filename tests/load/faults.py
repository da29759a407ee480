"""What is done to a server, its callers and the network between them, each kind with what callers may see of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.load.chaos_proxy import ChaosProxy, Mode
from tests.load.judging import BUSY, DIRECT, ENDED, LATE, PROXIED
from tests.load.server_under_test import ServerUnderTest, send_signal
from tests.load.traffic_process import TrafficProcess

EVERYWHERE = frozenset({DIRECT, PROXIED})
BEHIND_THE_PROXY = frozenset({PROXIED})
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scene:
    """All that faults are done to, and with.

    Attributes:
        server: the server.
        proxy: stands before it for some of the callers.
        storms: a process of raw traffic that sends storms when asked.
        victim: starts a process of raw traffic that may be killed.
        cache: the folder in which the server keeps machine code.
        chance: the random numbers of the faults.
        size: how large storms are, as a multiple of what two busy cores take in a second or two.
    """

    server: ServerUnderTest
    proxy: ChaosProxy
    storms: TrafficProcess
    victim: Callable[[], TrafficProcess]
    cache: Path
    chance: random.Random
    size: float = 1.0

    async def storm(self, name: str, size: int) -> None:
        """Let a storm of a size for two busy cores pass."""
        await self.storms.storm(name, max(1, round(size * self.size)))


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: its name in the report.
        scopes: the roads it touches.
        allowed: the codes that callers may see there until all is well again.
        inflict: does it; returns when it is over.
    """

    name: str
    scopes: frozenset[str]
    allowed: frozenset[str]
    inflict: Callable[[Scene], Awaitable[None]]


async def _some_worker(scene: Scene) -> int:
    """Return the id of a worker, once there is one."""
    while not (workers := scene.server.workers()):  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(0.05)
    return scene.chance.choice(workers)


async def _signal_worker(scene: Scene, number: signal.Signals) -> None:
    send_signal(await _some_worker(scene), number)
    await asyncio.sleep(0.2)
    await scene.server.restart_if_dead()


async def _stop_worker(scene: Scene) -> None:
    """Stop a worker for good; the server must find out, or is started again, as an operator would."""
    worker = await _some_worker(scene)
    send_signal(worker, signal.SIGSTOP)
    if worker == scene.server.pid:
        await asyncio.sleep(1.0)
        await scene.server.kill()
        await scene.server.start()
        return
    for _ in range(200):
        await asyncio.sleep(0.1)
        if worker not in scene.server.workers():
            return
    send_signal(worker, signal.SIGCONT)
    message = f"worker {worker} was stopped for 20 seconds, and nobody noticed"
    raise FaultUnnoticedError(message)


class FaultUnnoticedError(Exception):
    """The server should have done something about a fault, and has not."""


async def _pause_worker(scene: Scene) -> None:
    worker = await _some_worker(scene)
    send_signal(worker, signal.SIGSTOP)
    await asyncio.sleep(0.3)
    send_signal(worker, signal.SIGCONT)


async def _restart_server(scene: Scene) -> None:
    await scene.server.stop()
    await scene.server.start()


async def _kill_server(scene: Scene) -> None:
    await scene.server.kill()
    await scene.server.start()


async def _kill_caller(scene: Scene) -> None:
    victim = scene.victim()
    await asyncio.sleep(2.5)  # it loads its libraries and sends some hundred requests
    victim.kill()


async def _reset_connections(scene: Scene) -> None:
    for _ in range(3):
        scene.proxy.reset_connections()
        await asyncio.sleep(0.2)


async def _in_mode(scene: Scene, mode: Mode) -> None:
    scene.proxy.become(mode)
    await asyncio.sleep(1.0)
    scene.proxy.become(Mode.FAITHFUL)
    if mode in (Mode.BLACK_HOLE, Mode.TRICKLE, Mode.SLOW_READER):
        # What has piled up would arrive for long after; a network that was away has forgotten its connections.
        scene.proxy.reset_connections()


async def _half_open(scene: Scene) -> None:
    """Say goodbye for callers who do not know, and leave silent connections behind for a while."""
    scene.proxy.half_close_connections()
    beginnings = (b"", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    sockets = [await _connected(scene, beginnings[number % 3]) for number in range(60)]
    await asyncio.sleep(0.5)
    for each in sockets:
        each.close()


async def _slow_loris(scene: Scene) -> None:
    """Send a caller's bytes one by one, through the proxy and by connections that never finish a greeting."""
    dribbling = [asyncio.create_task(_dribble(scene)) for _ in range(20)]
    await _in_mode(scene, Mode.TRICKLE)
    await asyncio.gather(*dribbling)


async def _dribble(scene: Scene) -> None:
    handle = await _connected(scene, b"")
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r":
        handle.send(bytes([byte]))
        await asyncio.sleep(0.04)
    handle.close()


async def _garbage(scene: Scene) -> None:
    for _ in range(30):
        handle = await _connected(scene, scene.chance.randbytes(scene.chance.randint(1, 4_000)))
        await asyncio.sleep(0.01)
        handle.close()


async def _connected(scene: Scene, greeting: bytes) -> socket.socket:
    host, _, port = scene.server.address.rpartition(":")
    handle = socket.socket()
    handle.setblocking(False)  # noqa: FBT003 - the socket's own signature
    loop = asyncio.get_running_loop()
    await loop.sock_connect(handle, (host, int(port)))
    if greeting:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the server may have seen enough of it
            await loop.sock_sendall(handle, greeting)
    return handle


async def _take_cache_away(scene: Scene) -> None:
    """Take the folder of machine code away, then put one there that cannot be written; the server must not care."""
    aside = scene.cache.with_name("taken-away")
    scene.cache.rename(aside)
    await scene.storm("new functions", 10)
    scene.cache.mkdir(mode=0o500)
    await scene.storm("new functions", 10)
    shutil.rmtree(scene.cache)
    aside.rename(scene.cache)


def _storm(name: str, size: int) -> Callable[[Scene], Awaitable[None]]:
    return partial(_pass_storm, name=name, size=size)


async def _pass_storm(scene: Scene, name: str, size: int) -> None:
    await scene.storm(name, size)


def _ending(name: str, inflict: Callable[[Scene], Awaitable[None]], scopes: frozenset[str] = EVERYWHERE) -> Fault:
    return Fault(name, scopes, ENDED | LATE, inflict)


def _crowding(name: str, storm: str, size: int) -> Fault:
    return Fault(name, EVERYWHERE, BUSY | LATE, _storm(storm, size))


def _harmless(name: str, inflict: Callable[[Scene], Awaitable[None]]) -> Fault:
    return Fault(name, EVERYWHERE, _NOTHING, inflict)


FAULTS: tuple[Fault, ...] = (
    _ending("worker killed", partial(_signal_worker, number=signal.SIGKILL)),
    _ending("worker crashed", partial(_signal_worker, number=signal.SIGSEGV)),
    _ending("worker stopped for good", _stop_worker),
    _ending("worker paused", _pause_worker),
    _ending("server restarted", _restart_server),
    _ending("server killed", _kill_server),
    _harmless("caller killed", _kill_caller),
    _ending("connections reset", _reset_connections, BEHIND_THE_PROXY),
    _ending("black hole", partial(_in_mode, mode=Mode.BLACK_HOLE), BEHIND_THE_PROXY),
    _ending("delayed bytes", partial(_in_mode, mode=Mode.DELAYED), BEHIND_THE_PROXY),
    _ending("slow reader", partial(_in_mode, mode=Mode.SLOW_READER), BEHIND_THE_PROXY),
    _ending("half-open connections", _half_open, BEHIND_THE_PROXY),
    _ending("slow loris", _slow_loris, BEHIND_THE_PROXY),
    _harmless("garbage connections", _garbage),
    _crowding("overload burst", "overload", 1_200),
    _crowding("cancel storm", "cancellations", 400),
    _crowding("expired deadlines", "expired deadlines", 400),
    _crowding("digest flood", "new functions", 200),
    _crowding("wrong requests", "wrong requests", 200),
    _crowding("reconnect storm", "reconnections", 60),
    _crowding("hostile compilation", "hostile compilation", 100_000),
    _harmless("cache folder gone", _take_cache_away),
)
"""Every kind of fault."""

BY_NAME: Mapping[str, Fault] = {fault.name: fault for fault in FAULTS}


def schedule(seed: int, count: int) -> list[Fault]:
    """Return the faults of a run: every kind once before any comes again, in an order that depends on the seed."""
    chance = random.Random(f"{seed} faults")
    planned: list[Fault] = []
    while len(planned) < count:
        planned += chance.sample(FAULTS, len(FAULTS))
    return planned[:count]
