"""One call of each kind before the first real one: tables and grammars get loaded, and a broken build is found out."""

from __future__ import annotations

import logging

from gradmill_server.serving import logs
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.status import RpcFailure
from gradmill_server.serving.wire.samples import sample_requests

_PATIENCE_SECONDS = 60.0


async def warm_up(handler: Handler) -> None:
    """Answer sample calls. One that is beyond this server's own limits is left out, and the log says so.

    Raises:
        RuntimeError: when one of them fails; a server that cannot answer them must not say that it serves.
    """
    for method, body in sample_requests():
        try:
            await handler.call(method, body, handler.context(_PATIENCE_SECONDS, "warm-up"))
        except RpcFailure as failure:
            if failure.passes_limit:
                logs.record(logging.INFO, "warm_up_refused", method=method, message=failure.status.message)
                continue
            message = f"the sample call of {method} failed: {failure.status.message}"
            raise RuntimeError(message) from failure
