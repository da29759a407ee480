"""What every call goes through, whatever it asks: the server's bounds, its deadline, its status, its count."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

from gradmill_server.engine.errors import Cancelled, EngineError
from gradmill_server.serving import logs
from gradmill_server.serving.admission import Admission
from gradmill_server.serving.call import CallContext
from gradmill_server.serving.errors import ShuttingDown
from gradmill_server.serving.security.quotas import UNLIMITED, Quotas
from gradmill_server.serving.status import RpcFailure, status_of
from gradmill_server.serving.telemetry import Telemetry


class Answering:
    """Runs the work of calls within bounds, and turns every failure into a status."""

    def __init__(self, admission: Admission, telemetry: Telemetry, quotas: Quotas = UNLIMITED) -> None:
        """Use these bounds."""
        self.admission = admission
        self._quotas = quotas
        self._telemetry = telemetry
        self._timeouts: set[asyncio.Timeout] = set()
        self._ending = False

    async def answer(
        self, method: str, request_bytes: int, context: CallContext, work: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Return what work returns.

        Args:
            method: the method's name; one of a closed set.
            request_bytes: the size of the request.
            context: the call; marked as cancelled once it is over, so that nothing more is done for it.
            work: what answers it.

        Raises:
            RpcFailure: with the status that the caller is to get.
            asyncio.CancelledError: when the awaiting task was cancelled.
        """
        started = time.monotonic()
        code = "OK"
        try:
            return await self._bounded(request_bytes, context, work)
        except asyncio.CancelledError:
            code = Cancelled.status
            raise
        except Exception as error:  # noqa: BLE001  every failure becomes a status here
            failure = self.failure(method, error, context)
            code = failure.code_name
            raise failure from None
        finally:
            context.cancelled = True
            self._telemetry.call_finished(method, code, time.monotonic() - started)

    def check_first(self, method: str, context: CallContext, check: Callable[[], None]) -> None:
        """Let a check refuse a call before anything is begun for it. Raises RpcFailure.

        Where callers have quotas they are charged first, so there the check is left to what comes later.
        """
        if not self._quotas.is_unlimited:
            return
        try:
            self.admission.check_open()
            check()
        except EngineError as error:
            failure = self.failure(method, error, context)
            self._telemetry.call_finished(method, failure.code_name, 0.0)
            raise failure from None

    def answer_here(self, method: str, context: CallContext, work: Callable[[], bytes]) -> bytes:
        """Return what work returns that is so short that nothing else happens meanwhile. Raises RpcFailure."""
        started = time.monotonic()
        code = "OK"
        try:
            self._charge(context)
            self.admission.check_open()
            return work()
        except Exception as error:  # noqa: BLE001  every failure becomes a status here
            failure = self.failure(method, error, context)
            code = failure.code_name
            raise failure from None
        finally:
            self._telemetry.call_finished(method, code, time.monotonic() - started)

    def _charge(self, context: CallContext) -> None:
        if not self._quotas.is_unlimited:
            self._quotas.charge_request(context.caller)

    async def _bounded(self, request_bytes: int, context: CallContext, work: Callable[[], Awaitable[bytes]]) -> bytes:
        self._charge(context)
        with self.admission.call(request_bytes, context.caller):
            context.checkpoint()
            remaining = context.remaining_seconds
            timeout = asyncio.timeout(None if math.isinf(remaining) else remaining)
            self._timeouts.add(timeout)
            try:
                async with timeout:
                    return await work()
            except TimeoutError:
                if not timeout.expired():
                    raise
                raise self._ended(context) from None
            finally:
                self._timeouts.discard(timeout)

    def _ended(self, context: CallContext) -> EngineError:
        if not self._ending:
            return context.too_late()
        return ShuttingDown("the server was stopped before the answer was ready")

    def end_all(self) -> None:
        """End every call under way now, with ShuttingDown. Calls that come later are to be refused by admission."""
        self._ending = True
        now = asyncio.get_running_loop().time()
        for timeout in self._timeouts:
            if not timeout.expired():
                timeout.reschedule(now)

    def failure(self, method: str, error: BaseException, context: CallContext) -> RpcFailure:
        """Return the failure that a caller is to get for an error, and count and log it."""
        if isinstance(error, EngineError):
            self._telemetry.call_refused(error.default_reason)
            logs.record(
                logging.DEBUG,
                "refused",
                method=method,
                code=error.status,
                reason=error.reason,
                message=error.message,
                peer=context.peer,
            )
        return RpcFailure(status_of(error))
