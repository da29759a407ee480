"""What the engine has to say in a worker process, sent to the supervisor, which writes it once for all of them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from gradmill_server.serving.supervision.control import ControlChannel, Kind

_ENGINE = logging.getLogger("gradmill.engine")


class _Sender(logging.Handler):
    """Called on any thread."""

    def __init__(self, channel: ControlChannel) -> None:
        super().__init__()
        self._channel = channel
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record's level and text."""
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._send, record.levelno, record.getMessage())

    def _send(self, level: int, text: str) -> None:
        self._channel.send(Kind.NOTICE, level=level, text=text)


def send_engine_notices(channel: ControlChannel) -> None:
    """Send what the engine logs from now on; needs a running event loop."""
    _ENGINE.addHandler(_Sender(channel))
    _ENGINE.setLevel(logging.INFO)
    _ENGINE.propagate = False
