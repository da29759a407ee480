"""Ends a worker process whose supervisor is gone, even when its event loop is stuck."""

from __future__ import annotations

import os
import select
import socket
import threading
import time

_EXIT_FAILED = 1


def end_with(control: socket.socket, *, after_seconds: float) -> None:
    """End this process some time after the other end of a socket is gone; it owns the socket from now on."""
    threading.Thread(target=_watch, args=(control, after_seconds), name="gradmill-lifeline", daemon=True).start()


def _watch(control: socket.socket, after_seconds: float) -> None:
    poll = select.poll()
    # Without events asked for, only those come that are always told: hang-ups and errors. What arrives stays unread.
    poll.register(control, 0)
    poll.poll()
    time.sleep(after_seconds)
    os._exit(_EXIT_FAILED)
