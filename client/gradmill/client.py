"""The client for threads."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from gradmill.coalescing import Coalescer, later_in_thread, soon_in_thread
from gradmill.descriptions import FunctionInfo, OperationInfo
from gradmill.errors import client_closed
from gradmill.explanation import Explanation
from gradmill.flows import Flow
from gradmill.pipelines import Chunks, in_order
from gradmill.progress import Progress, reporting
from gradmill.results import Result
from gradmill.session import Session
from gradmill.settings import Settings
from gradmill.sources import FunctionLike
from gradmill.transports import Transport, run_flow
from gradmill.wishes import as_wish, has_directions

T = TypeVar("T")


class Client:
    """Evaluates functions and their derivatives on a server; made by ``connect`` or ``local``.

    Safe to use from several threads. A function is a formula or its text, a traced expression or function, a Graph
    message, or the 32 bytes of a digest. It travels once; later calls name it by its digest, and a server that has
    forgotten it is sent it again unseen.

    Every method may raise these, besides what it lists: InvalidRequestError, LimitError and UnsupportedError for what
    the server refuses; DeadlineExceededError, UnavailableError and ServerError; ClientClosedError after ``close()``.
    """

    def __init__(self, transport: Transport, settings: Settings | None = None, *, coalesces: bool = False) -> None:
        """Use a transport, and own it.

        Args:
            transport: what carries the messages.
            settings: how to behave.
            coalesces: whether small calls of several threads are joined into messages, where the settings agree.
        """
        settings = settings or Settings()
        self._transport = transport
        self._session = Session(settings)
        self._closed = False
        self._coalescer: Coalescer | None = None
        if coalesces and settings.batching.coalesce:
            self._coalescer = Coalescer(self._session, transport.submit, soon_in_thread, later_in_thread)

    def value(
        self,
        function: FunctionLike,
        points: object,
        *,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the function's values at many points.

        Args:
            function: the function.
            points: a matrix ``[points, elements]`` or ``[elements]`` for one point, or a mapping from input name to a
                number or an array, per point or shared by all; any real dtype, converted to the
                function's, which is float64 unless its inputs say float32.
            reduction: "sum" or "mean" over the points, added up in an order that depends on their number alone; None
                gives one result for each point.
            timeout: seconds that the whole call may take, repetitions included; None gives each message the client's
                own timeout (60 s unless it was made with another), so that a long batch takes as long as it needs.
            progress: None shows a bar on a terminal once a batch takes more than a second; True always, False never;
                a function is called with the points done and the points in all.

        Returns:
            A result whose ``gradient`` is None.

        Raises:
            InvalidRequestError: the points do not fit the function.
        """
        return self._evaluate(function, points, ["value"], None, reduction, timeout, progress)

    def gradient(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the gradients of the function's outputs at many points; the values come along, they cost nothing.

        Args:
            function: the function; its outputs must be scalars.
            points: as for :meth:`value`; the gradient comes in the same form.
            with_respect_to: the inputs to differentiate by; None means all. They come in declared order.
            reduction: as for :meth:`value`; so the gradient of a loss over many points is one gradient.
            timeout: as for :meth:`value`.
            progress: as for :meth:`value`.

        Raises:
            InvalidRequestError: the points do not fit the function, or an input in ``with_respect_to`` is unknown.
        """
        return self._evaluate(function, points, ["value", "gradient"], with_respect_to, reduction, timeout, progress)

    def value_and_gradient(
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
        return self._evaluate(function, points, ["value", "gradient"], with_respect_to, reduction, timeout, progress)

    def jacobian(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the Jacobian of every output by every wanted input at many points, and the values with it.

        It is computed forward, from the inputs, or in reverse, from the outputs, whichever takes fewer directions;
        the result's ``jacobian_mode`` tells.

        Outputs may have any shape. For the rest it takes and raises the same as :meth:`gradient`.
        """
        return self._evaluate(function, points, ["value", "jacobian"], with_respect_to, reduction, timeout, progress)

    def jvp(
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
        """Return the Jacobian times tangents at many points: how the outputs change along a direction.

        The tangents are a direction in the inputs, in the forms of points: a mapping from input name to a number or an
        array, per point or shared by all, where inputs left out do not move; or, for a matrix of points, a matrix
        ``[points, elements]``, or ``[elements]`` shared by all. One more axis in front gives several directions at
        once: ``[directions, points, ...]``, or ``[directions, 1, ...]`` when all points share them; for one point
        ``[directions, ...]``. Only inputs in ``with_respect_to`` may move.

        Outputs may have any shape. For the rest it takes and raises the same as :meth:`gradient`, and besides:

        Raises:
            InvalidRequestError: the tangents do not fit the function or the points.
            LimitError: there are more directions than the server takes at once.
        """
        return self._evaluate(
            function, points, ["value", "jvp"], with_respect_to, reduction, timeout, progress, tangents=tangents
        )

    def vjp(
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
        """Return cotangents times the Jacobian at many points: the derivatives of a weighted sum of the outputs.

        The cotangents are weights of the outputs: a mapping from output name to a number or an array, per point or
        shared by all, where outputs left out have no weight. Those of a single output may be given without the
        mapping, those of several as a matrix over the elements of all outputs when the points are a matrix. Several
        directions at once are written as for :meth:`jvp`.

        Outputs may have any shape. For the rest it takes and raises the same as :meth:`gradient`, and besides:

        Raises:
            InvalidRequestError: the cotangents do not fit the function or the points.
            LimitError: there are more directions than the server takes at once.
        """
        return self._evaluate(
            function, points, ["value", "vjp"], with_respect_to, reduction, timeout, progress, cotangents=cotangents
        )

    def hvp(
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
        """Return the Hessian of each output times vectors at many points, without computing the Hessian.

        The vectors are written like the tangents of :meth:`jvp`. For the rest it takes and raises the same as
        :meth:`gradient`, and besides:

        Raises:
            InvalidRequestError: the vectors do not fit the function or the points.
            LimitError: there are more directions than the server takes at once.
        """
        return self._evaluate(
            function, points, ["value", "hvp"], with_respect_to, reduction, timeout, progress, vectors=vectors
        )

    def hessian(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the Hessian of each output at many points, and the values with it.

        Its rows and its columns are the inputs in ``with_respect_to``. Takes and raises the same as :meth:`gradient`.
        """
        return self._evaluate(function, points, ["value", "hessian"], with_respect_to, reduction, timeout, progress)

    def hessian_diagonal(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the diagonal of the Hessian of each output at many points: its second derivatives by each element.

        Takes and raises the same as :meth:`hessian`.
        """
        return self._evaluate(
            function, points, ["value", "hessian_diagonal"], with_respect_to, reduction, timeout, progress
        )

    def sparse_jacobian(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the Jacobian of each output where it may differ from zero; see :class:`~gradmill.sparse.SparseMatrix`.

        The pattern travels once; later calls of this client get the numbers alone. Takes and raises the same as
        :meth:`jacobian`.
        """
        return self._evaluate(
            function, points, ["value", "sparse_jacobian"], with_respect_to, reduction, timeout, progress
        )

    def sparse_hessian(
        self,
        function: FunctionLike,
        points: object,
        *,
        with_respect_to: str | Sequence[str] | None = None,
        reduction: str | None = None,
        timeout: float | None = None,
        progress: Progress = None,
    ) -> Result:
        """Return the Hessian of each output where it may differ from zero; see :class:`~gradmill.sparse.SparseMatrix`.

        The pattern travels once; later calls of this client get the numbers alone. Takes and raises the same as
        :meth:`hessian`.
        """
        return self._evaluate(
            function, points, ["value", "sparse_hessian"], with_respect_to, reduction, timeout, progress
        )

    def evaluate(  # noqa: PLR0913 - by name only, and each is a wish of its own
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
        """Return several kinds of result at many points in one call; they share one forward pass.

        Args:
            function: the function.
            points: as for :meth:`value`.
            want: one or more of "value", "gradient", "jacobian", "vjp", "jvp", "hvp", "hessian", "hessian_diagonal",
                "sparse_jacobian" and "sparse_hessian". Each is an attribute of the result, the value as ``values``.
            tangents: for "jvp", as in :meth:`jvp`.
            cotangents: for "vjp", as in :meth:`vjp`.
            vectors: for "hvp", as in :meth:`hvp`.
            with_respect_to: as for :meth:`gradient`.
            outputs: the outputs whose results are wanted, by name; None means all. So a function with an array and a
                scalar output has a gradient of the scalar.
            reduction: as for :meth:`value`.
            timeout: as for :meth:`value`.
            progress: as for :meth:`value`.

        Raises:
            InvalidRequestError: a kind is unknown, points or directions do not fit the function, or directions are
                missing, or given for a kind that is not wanted.
            LimitError: there are more directions than the server takes at once.
        """
        return self._evaluate(
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
    ) -> Generator[Result, None, None]:
        """Yield the result of each chunk of points, in order, while the chunks behind it are computed already.

        So a loop over more points than fit into memory, or over points that are made while others are computed, need
        not wait for each answer. What is under way when the loop is left is given up.

        Args:
            function: the function.
            chunks: points as for :meth:`value`, once for each result; taken when there is room for them.
            want: as for :meth:`evaluate`, of the kinds without directions.
            with_respect_to: as for :meth:`gradient`.
            outputs: as for :meth:`evaluate`.
            reduction: as for :meth:`value`, over the points of each chunk.
            timeout: seconds that each chunk may take, from when it is sent.
            ahead: how many chunks may be under way behind the one whose result comes next.

        Raises:
            InvalidRequestError: a chunk does not fit the function; the results before it have come.
        """
        wish = as_wish(want, with_respect_to, None, reduction, outputs=outputs, timeout=timeout)
        return in_order(
            chunks,
            lambda points: self._checked(self._session.evaluate(function, points, wish)),
            ahead,
            self._transport.submit,
            later_in_thread,
        )

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

    def _evaluate(
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
            joint = lane.call(packed, timeout)
            if joint is not None:
                return joint
        with reporting(progress) as report:
            wish = as_wish(
                want, with_respect_to, directions, reduction, outputs=outputs, timeout=timeout, progress=report
            )
            result = self._run(self._session.evaluate(function, points, wish))
        if coalescer is not None and lane is None:
            coalescer.remember(function, wish, want, with_respect_to, outputs)
        return result

    def _run(self, flow: Flow[T]) -> T:
        return run_flow(self._checked(flow), self._transport)

    def _checked(self, flow: Flow[T]) -> Flow[T]:
        if self._closed:
            raise client_closed()
        return flow
