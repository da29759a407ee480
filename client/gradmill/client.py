"""The client for threads."""

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
from gradmill.transports import Transport, run_flow

T = TypeVar("T")


class Client:
    """Evaluates functions and their gradients on a server; made by ``connect`` or ``local``.

    Safe to use from several threads. A function is a formula or its text, a traced expression or function, a Graph
    message, or the 32 bytes of a digest. It travels once; later calls name it by its digest, and a server that has
    forgotten it is sent it again unseen.

    Every method may raise these, besides what it lists: InvalidRequestError, LimitError and UnsupportedError for what
    the server refuses; DeadlineExceededError, UnavailableError and ServerError; ClientClosedError after ``close()``.
    """

    def __init__(self, transport: Transport, settings: Settings | None = None) -> None:
        """Use a transport, and own it."""
        self._transport = transport
        self._session = Session(settings or Settings())
        self._closed = False

    def value(
        self, function: FunctionLike, points: object, *, timeout: float | None = None, progress: Progress = None
    ) -> Result:
        """Return the function's values at many points.

        Args:
            function: the function.
            points: a matrix ``[points, elements]`` or ``[elements]`` for one point, or a mapping from input name to a
                number or an array, per point or shared by all; any real dtype, converted to float64.
            timeout: seconds that the whole call may take, repetitions included; None gives each message the client's
                own timeout (60 s unless it was made with another), so that a long batch takes as long as it needs.
            progress: None shows a bar on a terminal once a batch takes more than a second; True always, False never;
                a function is called with the points done and the points in all.

        Returns:
            A result whose ``gradient`` is None.

        Raises:
            InvalidRequestError: the points do not fit the function.
        """
        with reporting(progress) as report:
            return self._run(self._session.evaluate(function, points, as_wish(VALUE, None, timeout, report)))

    def gradient(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the gradients of the function's outputs at many points; the values come along, they cost nothing.

        Args:
            function: the function; its outputs must be scalars.
            points: as for :meth:`value`; the gradient comes in the same form.
            with_respect_to: the inputs to differentiate by; None means all. They come in declared order.
            timeout: as for :meth:`value`.
            progress: as for :meth:`value`.

        Raises:
            InvalidRequestError: the points do not fit the function, or an input in ``with_respect_to`` is unknown.
        """
        with reporting(progress) as report:
            wish = as_wish(VALUE_AND_GRADIENT, with_respect_to, timeout, report)
            return self._run(self._session.evaluate(function, points, wish))

    def value_and_gradient(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return values and gradients at many points: the same as :meth:`gradient`, for code that wants to say so."""
        return self.gradient(function, points, with_respect_to=with_respect_to, timeout=timeout, progress=progress)

    def register(self, function: FunctionLike, *, timeout: float | None = None) -> FunctionInfo:
        """Send a function now and return its digest, inputs and outputs. Evaluating does this by itself."""
        return self._run(self._session.register(function, timeout))

    def explain(
        self, function: FunctionLike, point: object, *, output: str | None = None, timeout: float | None = None
    ) -> Explanation:
        """Return the forward and the backward pass at one point, node by node.

        Args:
            function: the function.
            point: one point, in any form that :meth:`value` takes.
            output: the output to explain; needed when there are several.
            timeout: seconds that the whole call may take.

        Raises:
            InvalidRequestError: there is more than one point, or it does not fit the function.
        """
        return self._run(self._session.explain(function, point, output, timeout))

    def operations(self, *, timeout: float | None = None) -> tuple[OperationInfo, ...]:
        """Return the operations that the server's graphs and formulas may use, sorted by name."""
        return self._run(self._session.operations(timeout))

    def close(self) -> None:
        """Let go of connections, and of the embedded server if there is one. May be called twice."""
        if not self._closed:
            self._closed = True
            self._transport.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        if self._closed:
            message = "the client is closed"
            raise ClientClosedError(message)
        return run_flow(flow, self._transport)
