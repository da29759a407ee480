"""The client for asyncio."""
# ruff: noqa: ASYNC109 - the server is told the timeout; asyncio.timeout would only stop waiting for it

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeVar

from gradmill.descriptions import FunctionInfo, OperationInfo
from gradmill.errors import ClientClosedError
from gradmill.explanation import Explanation
from gradmill.flows import Flow
from gradmill.progress import Progress, reporting
from gradmill.results import Result
from gradmill.session import VALUE, VALUE_AND_GRADIENT, Session, as_wish
from gradmill.settings import Settings
from gradmill.sources import FunctionLike
from gradmill.transports import AsyncTransport, run_flow_async

T = TypeVar("T")


class AsyncClient:
    """Evaluates functions and their gradients on a server; made by ``connect_async`` or ``local_async``.

    The same methods as :class:`~gradmill.client.Client`, with the same arguments, results and errors, to be awaited.
    Belongs to one event loop; any number of its tasks may use it at a time.
    """

    def __init__(self, transport: AsyncTransport, settings: Settings | None = None) -> None:
        """Use a transport, and own it."""
        self._transport = transport
        self._session = Session(settings or Settings())
        self._closed = False

    async def value(
        self, function: FunctionLike, points: object, *, timeout: float | None = None, progress: Progress = None
    ) -> Result:
        """Return the function's values at many points; see :meth:`Client.value`."""
        with reporting(progress) as report:
            return await self._run(self._session.evaluate(function, points, as_wish(VALUE, None, timeout, report)))

    async def gradient(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return gradients at many points, and the values with them; see :meth:`Client.gradient`."""
        with reporting(progress) as report:
            wish = as_wish(VALUE_AND_GRADIENT, with_respect_to, timeout, report)
            return await self._run(self._session.evaluate(function, points, wish))

    async def value_and_gradient(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return values and gradients at many points: the same as :meth:`gradient`, for code that wants to say so."""
        return await self.gradient(
            function, points, with_respect_to=with_respect_to, timeout=timeout, progress=progress
        )

    async def register(self, function: FunctionLike, *, timeout: float | None = None) -> FunctionInfo:
        """Send a function now and return its digest, inputs and outputs; see :meth:`Client.register`."""
        return await self._run(self._session.register(function, timeout))

    async def explain(
        self, function: FunctionLike, point: object, *, output: str | None = None, timeout: float | None = None
    ) -> Explanation:
        """Return the forward and the backward pass at one point, node by node; see :meth:`Client.explain`."""
        return await self._run(self._session.explain(function, point, output, timeout))

    async def operations(self, *, timeout: float | None = None) -> tuple[OperationInfo, ...]:
        """Return the operations that the server's graphs and formulas may use, sorted by name."""
        return await self._run(self._session.operations(timeout))

    async def close(self) -> None:
        """Let go of connections, and of the embedded server if there is one. May be called twice."""
        if not self._closed:
            self._closed = True
            await self._transport.close()

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client."""
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        if self._closed:
            message = "the client is closed"
            raise ClientClosedError(message)
        return await run_flow_async(flow, self._transport)
