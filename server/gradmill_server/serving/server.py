"""The server process: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata

import numpy as np

from gradmill_server.engine.backends.choice import backend_name, why_not_native
from gradmill_server.serving import logs
from gradmill_server.serving.exposition import MetricsServer
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.memory import MemoryWatch, allowed_bytes
from gradmill_server.serving.metrics import Metrics
from gradmill_server.serving.options import SettingsError, read_settings
from gradmill_server.serving.security.descriptors import raise_descriptor_limit
from gradmill_server.serving.security.exposure import warnings
from gradmill_server.serving.security.files import UnusableFile
from gradmill_server.serving.security.security import Security
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.transport import GRPC_VERSION, GrpcFront, ListenError
from gradmill_server.serving.warm_up import warm_up

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

_SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a thread that compiles may keep the event loop from the interpreter; Python's own choice is ten times it."""

_LAST_ANSWERS_SECONDS = 2.0
"""For the last answers to reach the wire, once the time to drain is used up."""


class Server:
    """A server on an event loop.

    Attributes:
        handler: what answers.
        address: the address it listens on, with the port chosen; empty before `start`.
        metrics_address: that of /metrics; empty when there is none.
    """

    def __init__(self, settings: Settings) -> None:
        """Set up everything; needs a running event loop. Raises UnusableFile."""
        self.settings = settings
        self._security = Security(settings)
        self._metrics = Metrics()
        self.handler = Handler(settings, self._metrics, quotas=self._security.quotas)
        self._metrics.watch(self.handler)
        self._front = GrpcFront(self.handler, settings, self._security)
        memory = self.handler.memory
        memory.maximum_bytes = memory.maximum_bytes or allowed_bytes()
        self._memory_watch = MemoryWatch(memory, self.handler.cache)
        self._watching: list[asyncio.Task[None]] = []
        self._metrics_server: MetricsServer | None = None
        self.metrics_address = ""

    @property
    def address(self) -> str:
        """The address it listens on."""
        return self._front.address

    async def start(self) -> None:
        """Listen, write the start record, warm up, and only then say SERVING. Raises ListenError."""
        self._start_metrics()
        await self._front.start()
        self._watching = [
            asyncio.create_task(self._security.watch()),
            asyncio.create_task(self._memory_watch.run()),
        ]
        logs.record(
            logging.INFO,
            "start",
            address=self.address,
            metrics_address=self.metrics_address,
            process=os.getpid(),
            backend=backend_name(),
            workers=self.handler.pool.workers,
            descriptors=raise_descriptor_limit(),
            versions=_versions(),
            settings=self.settings.as_record(),
        )
        for reason in warnings(self.settings):
            logs.record(logging.WARNING, "exposed", reason=reason)
        if why_not_native():
            logs.record(logging.WARNING, "no_native_backend", reason=why_not_native())
        began = time.monotonic()
        await warm_up(self.handler)
        self._front.report_ready()
        logs.record(logging.INFO, "ready", address=self.address, warm_up_seconds=round(time.monotonic() - began, 3))

    def _start_metrics(self) -> None:
        if not self.settings.metrics:
            return
        host, port = self.settings.metrics_host, self.settings.metrics_port
        try:
            self._metrics_server = MetricsServer(lambda: [self._metrics.snapshot()], host, port)
        except OSError as error:
            message = f"cannot listen on {host}:{port} for metrics: {error.strerror or error}"
            raise ListenError(message) from error
        self.metrics_address = self._metrics_server.address

    async def stop(self) -> None:
        """Say NOT_SERVING, take no new calls, let those in flight end in the time to drain, and close everything."""
        began = time.monotonic()
        admission = self.handler.admission
        logs.record(logging.INFO, "draining", calls=admission.calls, streams=admission.streams)
        self._front.report_draining()
        self.handler.begin_draining()
        drain_seconds = self.settings.drain_seconds
        stopping = asyncio.create_task(self._front.stop(drain_seconds + _LAST_ANSWERS_SECONDS))
        _, unfinished = await asyncio.wait((stopping,), timeout=drain_seconds)
        if unfinished:
            logs.record(logging.WARNING, "drain_time_over", calls=admission.calls, streams=admission.streams)
            self.handler.end_calls()
            await stopping
        await self.close()
        logs.record(logging.INFO, "stopped", drain_seconds=round(time.monotonic() - began, 3))

    async def close(self) -> None:
        """Close everything at once."""
        for watching in self._watching:
            watching.cancel()
        await self._front.stop(0)
        await self.handler.close()
        if self._metrics_server is not None:
            self._metrics_server.close()
            self._metrics_server = None


def _versions() -> Mapping[str, str]:
    return {
        "gradmill": _installed("gradmill"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "llvmlite": _installed("llvmlite"),
        "grpcio": GRPC_VERSION,
        "protobuf": _installed("protobuf"),
    }


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


async def _serve(settings: Settings) -> int:
    loop = asyncio.get_running_loop()
    told_to_stop = asyncio.Event()
    restore = _catch_signals(loop, told_to_stop)
    server = Server(settings)
    try:
        await server.start()
        await told_to_stop.wait()
        await server.stop()
    except ListenError as error:
        await server.close()
        _complain(str(error))
        return EXIT_FAILED
    finally:
        restore()
    return EXIT_OK


def _catch_signals(loop: asyncio.AbstractEventLoop, told_to_stop: asyncio.Event) -> Callable[[], None]:
    """Let the first SIGTERM or SIGINT set the event and the second end the process; return what undoes this."""
    caught = (signal.SIGTERM, signal.SIGINT)

    def on_signal(number: signal.Signals) -> None:
        if told_to_stop.is_set():
            logs.record(logging.WARNING, "stopped_at_once", signal=number.name)
            sys.stdout.flush()
            # Not sys.exit: that would wait for what the second signal is there to interrupt.
            os._exit(EXIT_FAILED)
        told_to_stop.set()

    for number in caught:
        loop.add_signal_handler(number, on_signal, number)

    def restore() -> None:
        for number in caught:
            loop.remove_signal_handler(number)

    return restore


def _complain(message: str) -> None:
    sys.stderr.write(f"gradmill serve: {message}\n")


def serve_main(arguments: Sequence[str]) -> int:
    """Serve until told to stop; return the process's exit code.

    Args:
        arguments: flags, without the program's name; `--help` lists them. Environment variables named there hold too.

    Returns:
        0 after a stop by SIGTERM or SIGINT, 1 when an address cannot be listened on, 2 for a wrong setting.
    """
    try:
        settings = read_settings(arguments, os.environ)
        Security(settings)  # for what is wrong with its files: told here, before anything is started
    except (SettingsError, UnusableFile) as error:
        _complain(f"{error}; see gradmill serve --help")
        return EXIT_USAGE
    except SystemExit as asked_for_help:
        return int(asked_for_help.code or EXIT_OK)
    logs.configure(settings.log_level, settings.log_format)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    return asyncio.run(_serve(settings))
