"""The client for asyncio."""
# ruff: noqa: ASYNC109 - the server is told the timeout; asyncio.timeout would only stop waiting for it

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from gradmill.coalescing import Coalescer
from gradmill.descriptions import FunctionInfo, OperationInfo
from gradmill.driving import Submit
from gradmill.errors import client_closed
from gradmill.explanation import Explanation
from gradmill.flows import Flow
from gradmill.pipelines import AsyncChunks as Chunks
from gradmill.pipelines import in_order_async
from gradmill.progress import Progress, reporting
from gradmill.results import Result
from gradmill.session import Session
from gradmill.settings import Settings
from gradmill.sources import FunctionLike
from gradmill.transports import AsyncTransport, run_flow_async
from gradmill.wishes import as_wish, has_directions

T = TypeVar("T")


class AsyncClient:
    """Evaluates functions and their derivatives on a server; made by ``connect_async`` or ``local_async``.

    The same methods as :class:`~gradmill.client.Client`, with the same arguments, results and errors, to be awaited.
    Belongs to one event loop; any number of its tasks may use it at a time.
    """

    def __init__(
        self, transport: AsyncTransport, settings: Settings | None = None, *, submit: Submit | None = None
    ) -> None:
        """Use a transport, and own it.

        Args:
            transport: what carries the messages.
            settings: how to behave.
            submit: the transport's way to send evaluations by which small calls of several tasks are joined into
                messages, where the settings agree; None never joins them.
        """
        settings = settings or Settings()
        self._transport = transport
        self._session = Session(settings)
        self._closed = False
        self._coalescer: Coalescer | None = None
        if submit is not None and settings.batching.coalesce:
            loop = asyncio.get_running_loop()
            self._coalescer = Coalescer(self._session, submit, loop.call_soon, loop.call_later)

    async def value(
        self,
        function: FunctionLike,
        points: object,
        *,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the function's values at many points; see :meth:`Client.value`."""
        return await self._evaluate(function, points, ["value"], None, reduction, timeout, progress)

    async def gradient(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return gradients at many points, and the values with them; see :meth:`Client.gradient`."""
        return await self._evaluate(
            function, points, ["value", "gradient"], with_respect_to, reduction, timeout, progress
        )

    async def value_and_gradient(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return values and gradients at many points: the same as :meth:`gradient`, for code that wants to say so."""
        return await self._evaluate(
            function, points, ["value", "gradient"], with_respect_to, reduction, timeout, progress
        )

    async def jacobian(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return Jacobians at many points; see :meth:`Client.jacobian`."""
        return await self._evaluate(
            function, points, ["value", "jacobian"], with_respect_to, reduction, timeout, progress
        )

    async def jvp(
        self,
        function: FunctionLike,
        points: object,
        tangents: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the Jacobian times tangents at many points; see :meth:`Client.jvp`."""
        return await self._evaluate(
            function, points, ["value", "jvp"], with_respect_to, reduction, timeout, progress, tangents=tangents
        )

    async def vjp(
        self,
        function: FunctionLike,
        points: object,
        cotangents: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return cotangents times the Jacobian at many points; see :meth:`Client.vjp`."""
        return await self._evaluate(
            function, points, ["value", "vjp"], with_respect_to, reduction, timeout, progress, cotangents=cotangents
        )

    async def hvp(
        self,
        function: FunctionLike,
        points: object,
        vectors: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the Hessian of each output times vectors at many points; see :meth:`Client.hvp`."""
        return await self._evaluate(
            function, points, ["value", "hvp"], with_respect_to, reduction, timeout, progress, vectors=vectors
        )

    async def hessian(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the Hessian of each output at many points; see :meth:`Client.hessian`."""
        return await self._evaluate(
            function, points, ["value", "hessian"], with_respect_to, reduction, timeout, progress
        )

    async def hessian_diagonal(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the diagonal of the Hessian of each output at many points; see :meth:`Client.hessian_diagonal`."""
        return await self._evaluate(
            function, points, ["value", "hessian_diagonal"], with_respect_to, reduction, timeout, progress
        )

    async def sparse_jacobian(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the Jacobian of each output where it may differ from zero; see :meth:`Client.sparse_jacobian`."""
        return await self._evaluate(
            function, points, ["value", "sparse_jacobian"], with_respect_to, reduction, timeout, progress
        )

    async def sparse_hessian(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the Hessian of each output where it may differ from zero; see :meth:`Client.sparse_hessian`."""
        return await self._evaluate(
            function, points, ["value", "sparse_hessian"], with_respect_to, reduction, timeout, progress
        )

    async def evaluate(  # noqa: PLR0913 - by name only, and each is a wish of its own
        self,
        function: FunctionLike,
        points: object,
        *,
        want: str | Sequence[str],
        tangents: object = None,
        cotangents: object = None,
        vectors: object = None,
        with_respect_to: str | Sequence[str] | None = None,
        outputs: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return several kinds of result at many points in one call; see :meth:`Client.evaluate`."""
        return await self._evaluate(
            function,
            points,
            want,
            with_respect_to,
            reduction,
            timeout,
            progress,
            tangents=tangents,
            cotangents=cotangents,
            vectors=vectors,
            outputs=outputs,
        )

    def stream(
        self,
        function: FunctionLike,
        chunks: Chunks,
        *,
        want: str | Sequence[str],
        with_respect_to: str | Sequence[str] | None = None,
        outputs: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        ahead: int = 4,
    ) -> AsyncGenerator[Result, None]:
        """Yield the result of each chunk of points, in order; see :meth:`Client.stream`.

        The chunks may come from an asynchronous iterator. A loop that is left before the end should close the
        generator, as ``contextlib.aclosing`` does, or what is under way is given up only when it is collected.
        """
        wish = as_wish(want, with_respect_to, None, reduction, outputs=outputs, timeout=timeout)

        async def run(points: object) -> Result:
            return await self._run(self._session.evaluate(function, points, wish))

        return in_order_async(chunks, run, ahead)

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

    async def _evaluate(
        self,
        function: FunctionLike,
        points: object,
        want: str | Sequence[str],
        with_respect_to: str | Sequence[str] | None,
        reduction: str | None,
        timeout: float | None,
        progress: Progress,
        outputs: str | Sequence[str] | None = None,
        **directions: object,
    ) -> Result:
        is_apart = reduction is not None or progress or self._closed or has_directions(directions)
        coalescer = None if is_apart else self._coalescer
        lane = None if coalescer is None else coalescer.lane(function, want, with_respect_to, outputs)
        packed = None if lane is None else lane.plan.pack(points)
        if lane is not None and packed is not None:
            joint = await lane.call_async(packed, timeout)
            if joint is not None:
                return joint
        with reporting(progress) as report:
            wish = as_wish(
                want, with_respect_to, directions, reduction, outputs=outputs, timeout=timeout, progress=report
            )
            result = await self._run(self._session.evaluate(function, points, wish))
        if coalescer is not None and lane is None:
            coalescer.remember(function, wish, want, with_respect_to, outputs)
        return result

    async def _run(self, flow: Flow[T]) -> T:
        if self._closed:
            raise client_closed()
        return await run_flow_async(flow, self._transport)
