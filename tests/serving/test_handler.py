"""The handler: what each method answers, and what the cache and the pool do for it."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill_server.engine import program as engine_program
from gradmill_server.engine.canonical import canonicalize
from gradmill_server.engine.limits import Limits
from gradmill_server.serving import functions as functions_module
from gradmill_server.serving import programs as programs_module
from gradmill_server.serving.handler import Handler
from gradmill_server.serving.reduction import pairwise_sum
from gradmill_server.serving.telemetry import Outcome, Stage, Telemetry

from tests.serving.support import (
    GRADIENT,
    TEXTBOOK,
    VALUE,
    array,
    ask,
    digest,
    evaluation,
    failure_of,
    formula,
    graph,
    handling,
    information,
    matrix,
    numbers,
    refusal,
    results,
    retry_seconds,
    small_settings,
    until,
    violations,
    wants,
)


class _Counting(Telemetry):
    """Counts what it hears."""

    def __init__(self) -> None:
        self.heard: Counter[object] = Counter()

    def call_finished(self, method: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.heard[method, code] += 1

    def call_refused(self, reason: str) -> None:
        self.heard["refused", reason] += 1

    def stage_finished(self, stage: Stage, seconds: float) -> None:
        assert seconds >= 0
        self.heard[stage] += 1

    def looked_up(self, kind: str, outcome: Outcome) -> None:
        self.heard[kind, outcome] += 1

    def program_compiled(self) -> None:
        self.heard["compiled"] += 1

    def points_computed(self, points: int, node_evaluations: int) -> None:
        self.heard["points"] += points
        self.heard["node_evaluations"] += node_evaluations


def _response(body: bytes) -> service_pb2.EvaluateResponse:
    return service_pb2.EvaluateResponse.FromString(body)


def test_textbook_function() -> None:
    """3*(x1**2 + x2*x3) at (2, 3, 4) is 48 with gradient (12, 12, 9), and the answer says how it came about."""

    async def scenario() -> tuple[bytes, bytes]:
        async with handling() as handler:
            return await ask(handler, evaluation()), await ask(handler, evaluation())

    first, second = (_response(body) for body in asyncio.run(scenario()))
    value, gradient = first.results
    assert (value.derivative, value.output, numbers(value.array).tolist()) == (VALUE, "value", [48.0])
    assert (gradient.derivative, numbers(gradient.array).tolist()) == (GRADIENT, [[12.0, 12.0, 9.0]])
    assert (first.cache, second.cache) == (service_pb2.CACHE_OUTCOME_MISS, service_pb2.CACHE_OUTCOME_HIT)
    assert first.digest == second.digest
    assert len(first.digest) == 32
    assert first.point_flags == b""
    assert first.timings.compile.ToNanoseconds() > 0
    assert second.timings.compile.ToNanoseconds() == 0
    assert second.timings.compute.ToNanoseconds() > 0
    assert second.timings.encode.ToNanoseconds() > 0


def test_formula_graph_and_digest_are_one_function() -> None:
    """A function sent as a formula, as a graph and by digest has one digest and is compiled once."""
    telemetry = _Counting()

    async def scenario() -> list[service_pb2.EvaluateResponse]:
        async with handling(telemetry=telemetry) as handler:
            points = matrix([[0.5]])
            inline = [formula("exp(x)"), graph()]
            answers = [_response(await ask(handler, evaluation(function, points))) for function in inline]
            answers.append(_response(await ask(handler, evaluation(digest(answers[0].digest), points))))
            return answers

    answers = asyncio.run(scenario())
    assert len({answer.digest for answer in answers}) == 1
    assert len({tuple(result.array.data for result in answer.results) for answer in answers}) == 1
    assert telemetry.heard["compiled"] == 1


def test_unknown_digest() -> None:
    """A digest that the server has not got is NOT_FOUND with the reason that lets a client send the function."""

    async def scenario() -> tuple[str, str]:
        async with handling() as handler:
            unknown = evaluation(digest(hashlib.sha256(b"nobody sent it").digest()))
            return refusal(await failure_of(ask(handler, unknown)))

    assert asyncio.run(scenario()) == ("NOT_FOUND", "DIGEST_UNKNOWN")


def test_evicted_function_is_asked_for_again() -> None:
    """With a cache too small to keep anything, inline calls are answered and digests are unknown."""

    async def scenario() -> tuple[list[float], tuple[str, str], int]:
        async with handling(small_settings(cache_bytes=0)) as handler:
            answer = _response(await ask(handler, evaluation()))
            failure = await failure_of(ask(handler, evaluation(digest(answer.digest))))
            return numbers(answer.results[0].array).tolist(), refusal(failure), handler.cache.byte_size

    assert asyncio.run(scenario()) == ([48.0], ("NOT_FOUND", "DIGEST_UNKNOWN"), 0)


def test_sixty_four_first_calls_compile_once() -> None:
    """Sixty-four concurrent first calls of one function compile it once; one is a miss, the others share or hit."""
    telemetry = _Counting()

    async def scenario() -> list[service_pb2.EvaluateResponse]:
        async with handling(telemetry=telemetry) as handler:
            bodies = await asyncio.gather(*(ask(handler, evaluation()) for _ in range(64)))
            return [_response(body) for body in bodies]

    answers = asyncio.run(scenario())
    assert telemetry.heard["compiled"] == 1
    assert [answer.cache for answer in answers].count(service_pb2.CACHE_OUTCOME_MISS) == 1
    assert all(numbers(answer.results[0].array).tolist() == [48.0] for answer in answers)


def test_cancelled_first_caller_leaves_the_others_unharmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the caller whose call began the compilation goes away, those who wait for it get their answers."""
    compiling, gate = threading.Event(), threading.Event()
    original = engine_program.compile_program
    monkeypatch.setattr(programs_module, "compile_program", _gated(original, compiling, gate))
    telemetry = _Counting()

    async def scenario() -> list[object]:
        async with handling(telemetry=telemetry) as handler:
            first = asyncio.create_task(ask(handler, evaluation()))
            await asyncio.to_thread(compiling.wait)
            others = [asyncio.create_task(ask(handler, evaluation())) for _ in range(63)]
            await until(lambda: handler._programs._compiling.waiters == 64)  # noqa: SLF001  no caller can see it
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            gate.set()
            return [_response(body).cache for body in await asyncio.gather(*others)]

    assert asyncio.run(scenario()) == [service_pb2.CACHE_OUTCOME_SHARED] * 63
    assert telemetry.heard["compiled"] == 1
    assert telemetry.heard["Evaluate", "CANCELLED"] == 1


def _gated(original: Callable[..., object], begun: threading.Event, gate: threading.Event) -> Callable[..., object]:
    def wait(*arguments: object) -> object:
        begun.set()
        gate.wait()
        return original(*arguments)

    return wait


def test_errors_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compilation that failed once is tried again by the next call."""
    original = engine_program.compile_program
    failures = [MemoryError("for now")]

    def sometimes(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(programs_module, "compile_program", sometimes)

    async def scenario() -> tuple[tuple[str, str], list[float]]:
        async with handling() as handler:
            failed = await failure_of(ask(handler, evaluation()))
            return refusal(failed), results(await ask(handler, evaluation()))[0].tolist()

    assert asyncio.run(scenario()) == (("INTERNAL", "INTERNAL_ERROR"), [48.0])


def test_unexpected_error_tells_an_incident_and_the_next_call_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of the server gives an incident number without the error's text, and harms no other call."""

    async def scenario() -> tuple[str, str]:
        async with handling() as handler:
            with monkeypatch.context() as patch:
                patch.setattr(functions_module, "canonicalize", lambda _: 1 // 0)
                failed = await failure_of(ask(handler, evaluation()))
            await ask(handler, evaluation())
            return failed.message, information(failed).metadata["incident"]

    message, incident = asyncio.run(scenario())
    assert "division" not in message
    assert incident in message


def test_wishes_written_differently_share_a_program() -> None:
    """Naming all outputs and inputs, or none, asks for the same program."""
    telemetry = _Counting()
    named = evaluation()
    named.wants[0].outputs.append("value")
    named.wants[1].with_respect_to.extend(["x3", "x2", "x1"])

    async def scenario() -> list[service_pb2.EvaluateResponse]:
        async with handling(telemetry=telemetry) as handler:
            return [_response(await ask(handler, request)) for request in (evaluation(), named, named)]

    assert [answer.cache for answer in asyncio.run(scenario())] == [
        service_pb2.CACHE_OUTCOME_MISS,
        service_pb2.CACHE_OUTCOME_HIT,
        service_pb2.CACHE_OUTCOME_HIT,
    ]
    assert telemetry.heard["compiled"] == 1


def test_options_have_programs_of_their_own() -> None:
    """Plain IEEE propagation and disabled stable forms never get another call's program."""
    plain, parity, disabled = (evaluation(formula("log(1 + x)"), matrix([[1e-20]])) for _ in range(3))
    parity.options.parity = True
    disabled.options.disabled_stable_forms.append("log1p")

    async def scenario() -> list[service_pb2.EvaluateResponse]:
        async with handling() as handler:
            return [_response(await ask(handler, request)) for request in (plain, parity, disabled)]

    answers = asyncio.run(scenario())
    assert [answer.cache for answer in answers] == [service_pb2.CACHE_OUTCOME_MISS] * 3
    assert [list(answer.stable_forms) for answer in answers] == [["log1p"], [], []]
    assert [numbers(answer.results[0].array).tolist() for answer in answers] == [[1e-20], [0.0], [0.0]]


def test_named_inputs_have_a_gradient_each() -> None:
    """Points given by name have their gradients by name, in the shape of each input; shared inputs too."""
    function = formula("y * exp(x)")
    points = service_pb2.Points(
        inputs=[
            service_pb2.InputValues(name="x", values=array(0.0), shared=True),
            service_pb2.InputValues(name="y", values=array([1.0, 2.0])),
        ]
    )

    async def scenario() -> service_pb2.EvaluateResponse:
        async with handling() as handler:
            return _response(await ask(handler, evaluation(function, points)))

    answer = asyncio.run(scenario())
    gradients = {entry.with_respect_to: numbers(entry.array).tolist() for entry in answer.results[1:]}
    assert gradients == {"x": [1.0, 2.0], "y": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("reduction", "expected"), [(service_pb2.REDUCTION_SUM, 6.0), (service_pb2.REDUCTION_MEAN, 2.0)]
)
def test_reductions(reduction: service_pb2.Reduction, expected: float) -> None:
    """A sum or a mean has no dimension of points, and the points keep their own flags."""
    request = evaluation(formula("x * 1"), matrix([[1.0], [2.0], [3.0]]), [VALUE])
    request.reduction = reduction
    awkward = evaluation(formula("1 / x"), matrix([[1.0], [0.0]]), [VALUE])
    awkward.reduction = reduction

    async def scenario() -> tuple[service_pb2.EvaluateResponse, service_pb2.EvaluateResponse]:
        async with handling() as handler:
            return _response(await ask(handler, request)), _response(await ask(handler, awkward))

    reduced, flagged = asyncio.run(scenario())
    assert list(reduced.results[0].array.shape) == []
    assert float(numbers(reduced.results[0].array)) == expected
    assert flagged.point_flags == b"\0\1"
    assert float(numbers(flagged.results[0].array)) == np.inf


@pytest.mark.parametrize("form", ["matrix", "inputs"])
def test_sum_over_many_points_holds_a_block_at_a_time(form: str) -> None:
    """A sum has the bits of adding up all points in pairs, although all results together pass the limit on them."""
    rows = np.random.default_rng(2).normal(size=(200_001, 3))
    points = matrix(rows)
    if form == "inputs":
        entries = [service_pb2.InputValues(name=f"x{number + 1}", values=array(rows[:, number])) for number in range(3)]
        points = service_pb2.Points(inputs=entries)
    plain, summed = evaluation(points=points), evaluation(points=points)
    summed.reduction = service_pb2.REDUCTION_SUM

    async def scenario() -> tuple[list[bytes], tuple[str, str]]:
        async with handling() as handler:
            at_once = await ask(handler, plain)
        # A block of 65,536 points has two MiB of results.
        async with handling(small_settings(Limits(maximum_result_bytes=3 * 1024 * 1024))) as handler:
            return [at_once, await ask(handler, summed)], refusal(await failure_of(ask(handler, plain)))

    (at_once, reduced), refused = asyncio.run(scenario())
    assert refused == ("RESOURCE_EXHAUSTED", "RESULT_TOO_LARGE")
    for found, each in zip(results(reduced), results(at_once), strict=True):
        assert found.tobytes() == pairwise_sum(each).tobytes()


@pytest.mark.parametrize("encoding", [service_pb2.ARRAY_ENCODING_DATA, service_pb2.ARRAY_ENCODING_VALUES])
def test_encodings(encoding: service_pb2.ArrayEncoding) -> None:
    """The answer's arrays are written as the call says, and only so."""
    request = evaluation()
    request.encoding = encoding

    async def scenario() -> service_pb2.EvaluateResponse:
        async with handling() as handler:
            return _response(await ask(handler, request))

    written = asyncio.run(scenario()).results[0].array
    as_data = encoding == service_pb2.ARRAY_ENCODING_DATA
    assert (bool(written.data), bool(written.values)) == (as_data, not as_data)
    assert numbers(written).tolist() == [48.0]


def test_not_finite_is_data() -> None:
    """A value or derivative that is not finite is flagged at its point, and the other points are as ever."""

    async def scenario() -> service_pb2.EvaluateResponse:
        async with handling() as handler:
            return _response(await ask(handler, evaluation(formula("log(x)"), matrix([[1.0], [0.0], [2.0]]))))

    answer = asyncio.run(scenario())
    assert answer.point_flags == b"\0\3\0"
    assert numbers(answer.results[0].array)[2] == np.log(2.0)


def test_large_request_is_answered_like_a_small_one() -> None:
    """A batch of a hundred thousand points gives each point what it gives alone."""
    column = np.random.default_rng(5).normal(size=(100_000, 1))

    async def scenario() -> list[bytes]:
        async with handling() as handler:
            return [
                await ask(handler, evaluation(formula("sin(x) * x"), matrix(rows))) for rows in (column, column[:1])
            ]

    many, one = (results(body) for body in asyncio.run(scenario()))
    assert many[0].shape == (100_000,)
    assert many[0][:1].tobytes() == one[0].tobytes()
    expected = np.cos(column[:, 0]) * column[:, 0] + np.sin(column[:, 0])
    # The two terms, of size 1, cancel near |x| = 2.03: what is left has their rounding.
    np.testing.assert_allclose(many[1][:, 0], expected, rtol=1e-14, atol=4e-16)


def test_register_describes_and_compiles() -> None:
    """Registering answers with digest, inputs, outputs and size, and compiles what later calls will want."""
    telemetry = _Counting()
    request = service_pb2.RegisterFunctionRequest(
        function=formula("a = x * y\nb = a + 1\nreturn a, b"), wants=wants(VALUE)
    )

    async def scenario() -> tuple[service_pb2.RegisterFunctionResponse, service_pb2.EvaluateResponse]:
        async with handling(telemetry=telemetry) as handler:
            body = await handler.register_function(request.SerializeToString(), handler.context(60))
            described = service_pb2.RegisterFunctionResponse.FromString(body)
            later = evaluation(digest(described.digest), matrix([[2.0, 3.0]]), [VALUE])
            return described, _response(await ask(handler, later))

    described, later = asyncio.run(scenario())
    assert [entry.name for entry in described.inputs] == ["x", "y"]
    assert [entry.name for entry in described.outputs] == ["a", "b"]
    assert described.value_count == 5
    assert later.cache == service_pb2.CACHE_OUTCOME_HIT
    assert [numbers(entry.array).tolist() for entry in later.results] == [[6.0], [7.0]]


def test_explain_inline_and_by_digest() -> None:
    """An explanation shows both passes; of a function that came inline it uses people's own labels."""

    async def scenario() -> list[service_pb2.ExplainResponse]:
        async with handling() as handler:
            known = _response(await ask(handler, evaluation())).digest
            answers = []
            for function in (formula(), formula("half = x1 / 2\nhalf * x2 * x3"), digest(known)):
                request = service_pb2.ExplainRequest(function=function, points=matrix([[2.0, 3.0, 4.0]]))
                body = await handler.explain(request.SerializeToString(), handler.context(60))
                answers.append(service_pb2.ExplainResponse.FromString(body))
            return answers

    textbook, labelled, by_digest = asyncio.run(scenario())
    shown = {node.label: float(numbers(node.value)) for node in textbook.nodes}
    assert shown == {"x1": 2.0, "x2": 3.0, "x3": 4.0, "x4": 4.0, "x5": 12.0, "x6": 16.0, "x7": 48.0}
    product = next(node for node in textbook.nodes if node.label == "x5")
    assert {entry.argument: float(numbers(entry.partial)) for entry in product.local_partials} == {"x2": 4.0, "x3": 3.0}
    assert [float(numbers(node.adjoint)) for node in textbook.nodes[:3]] == [12.0, 12.0, 9.0]
    assert "half" in {node.label for node in labelled.nodes}
    assert textbook == by_digest


def test_explain_refuses_more_than_one_point() -> None:
    """An explanation of two points is refused."""
    request = service_pb2.ExplainRequest(function=formula("x"), points=matrix([[1.0], [2.0]]))

    async def scenario() -> tuple[str, str]:
        async with handling() as handler:
            body = request.SerializeToString()
            return refusal(await failure_of(handler.explain(body, handler.context(60))))

    assert asyncio.run(scenario()) == ("INVALID_ARGUMENT", "POINTS_COUNT")


def test_list_operations() -> None:
    """The list of operations is sorted, has no internal ones, and says how many arguments each takes."""

    async def scenario() -> service_pb2.ListOperationsResponse:
        async with handling() as handler:
            return service_pb2.ListOperationsResponse.FromString(
                await handler.list_operations(b"", handler.context(60))
            )

    operations = asyncio.run(scenario()).operations
    names = [operation.name for operation in operations]
    assert names == sorted(names)
    assert {"exp", "where", "clip"} < set(names)
    assert "strong_product" not in names
    assert {operation.name: operation.arity for operation in operations}["where"] == 3
    assert all(operation.summary for operation in operations)


def test_unknown_method() -> None:
    """A method that there is not is UNIMPLEMENTED, and those that there are get named."""

    async def scenario() -> tuple[str, str]:
        async with handling() as handler:
            failure = await failure_of(handler.call("Integrate", b"", handler.context(60)))
            assert "Evaluate" in failure.message
            return refusal(failure)

    assert asyncio.run(scenario()) == ("UNIMPLEMENTED", "METHOD_UNKNOWN")


def test_violations_reach_the_caller() -> None:
    """Each mistake in a graph is told with its own path and reason."""
    function = graph(operation="sine", argument=9)
    function.graph.inputs[0].name = "2x"

    async def scenario() -> dict[str, str]:
        async with handling() as handler:
            return violations(await failure_of(ask(handler, evaluation(function, matrix([[1.0]])))))

    found = asyncio.run(scenario())
    assert found["function.graph.inputs[0].name"] == "NAME_INVALID"
    assert found["function.graph.operation_names[0]"] == "OPERATION_UNKNOWN"


@pytest.mark.parametrize(
    ("limits", "function", "reason", "knob"),
    [
        (Limits(maximum_nodes=3), TEXTBOOK, "GRAPH_TOO_LARGE", "maximum_nodes"),
        (Limits(maximum_formula_characters=10), TEXTBOOK, "FORMULA_TOO_LONG", "maximum_formula_characters"),
        (Limits(maximum_program_nodes=5), TEXTBOOK, "PROGRAM_TOO_LARGE", "maximum_program_nodes"),
        (Limits(maximum_result_bytes=31), TEXTBOOK, "RESULT_TOO_LARGE", "maximum_result_bytes"),
        (Limits(maximum_scratch_bytes=8), TEXTBOOK, "SCRATCH_TOO_LARGE", "maximum_scratch_bytes"),
    ],
)
def test_limits_are_named(limits: Limits, function: str, reason: str, knob: str) -> None:
    """What passes a limit of one call is RESOURCE_EXHAUSTED with the limit's knob."""

    async def scenario() -> tuple[str, str, str]:
        async with handling(small_settings(limits)) as handler:
            failure = await failure_of(ask(handler, evaluation(formula(function))))
            assert retry_seconds(failure) is None
            return (*refusal(failure), information(failure).metadata["knob"])

    code, found, named = asyncio.run(scenario())
    assert (code, found, named) == ("RESOURCE_EXHAUSTED", reason, knob)


def _slow() -> service_pb2.EvaluateRequest:
    """Return a request that takes many checkpoints' time to answer."""
    text = " + ".join(f"exp(x * {number}) * sin(x + {number})" for number in range(1, 200))
    request = evaluation(formula(text), matrix(np.zeros((400_000, 1))), [VALUE])
    request.reduction = service_pb2.REDUCTION_SUM
    return request


async def _idle(handler: Handler) -> None:
    await until(lambda: handler.pool.busy == 0 and handler.pool.waiting == 0)


def test_deadline_passes_while_computing() -> None:
    """A call that would take longer than its deadline is answered DEADLINE_EXCEEDED, and its worker is free again."""

    async def scenario() -> tuple[str, str]:
        async with handling() as handler:
            failure = await failure_of(ask(handler, _slow(), 0.2))
            await _idle(handler)
            return refusal(failure)

    assert asyncio.run(scenario()) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")


def test_compiling_ends_when_nobody_waits_any_more() -> None:
    """When the last caller's deadline passes while its function is compiled, compiling stops and the worker is free."""
    counting = _Counting()

    async def scenario() -> str:
        async with handling(telemetry=counting) as handler:
            text = "x" + "+x" * 40_000
            registered = service_pb2.RegisterFunctionRequest(function=formula(text))
            known = service_pb2.RegisterFunctionResponse.FromString(
                await handler.register_function(registered.SerializeToString(), handler.context(60))
            )
            request = evaluation(service_pb2.Function(digest=known.digest), matrix(np.ones((1, 1))))
            failure = await failure_of(ask(handler, request, 0.01))
            await _idle(handler)
            return refusal(failure)[0]

    assert asyncio.run(scenario()) == "DEADLINE_EXCEEDED"
    assert counting.heard["compiled"] == 0


def test_reading_ends_when_nobody_waits_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last caller leaves while a large graph is read, reading stops at the next look and nothing is kept."""
    reading, gate = threading.Event(), threading.Event()
    monkeypatch.setattr(functions_module, "canonicalize", _gated(canonicalize, reading, gate))

    async def scenario() -> int:
        async with handling() as handler:
            caller = asyncio.create_task(ask(handler, evaluation(formula("x" + "+x" * 4_000), matrix(np.ones((1, 1))))))
            await asyncio.to_thread(reading.wait)
            caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)
            gate.set()
            await _idle(handler)
            return len(handler.cache)

    assert asyncio.run(scenario()) == 0


def test_server_ceiling_holds_without_a_deadline() -> None:
    """A call whose caller sets no deadline ends at the server's, which the message names."""

    async def scenario() -> str:
        async with handling(small_settings(default_deadline_seconds=0.2)) as handler:
            failure = await failure_of(ask(handler, _slow(), None))
            return str(failure.message)

    assert "ceiling of 0.2 seconds" in asyncio.run(scenario())


def test_passed_deadline_starts_no_work() -> None:
    """A call whose deadline passed on the way is refused before anything is done for it."""
    telemetry = _Counting()

    async def scenario() -> tuple[str, str]:
        async with handling(telemetry=telemetry) as handler:
            return refusal(await failure_of(ask(handler, evaluation(), -1.0)))

    assert asyncio.run(scenario()) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    assert telemetry.heard["function", Outcome.MISS] == 0


def test_cancelled_call_frees_its_worker() -> None:
    """A caller that goes away frees the worker that computed for it, long before the work would be done."""
    telemetry = _Counting()

    async def scenario() -> None:
        async with handling(telemetry=telemetry) as handler:
            call = asyncio.create_task(ask(handler, _slow()))
            await until(lambda: telemetry.heard["program", Outcome.MISS] == 1 and handler.pool.busy == 1)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await _idle(handler)

    asyncio.run(scenario())
    assert telemetry.heard["points"] == 0
    assert telemetry.heard["Evaluate", "CANCELLED"] == 1


def test_full_queue_is_refused_and_told_when_to_retry() -> None:
    """When workers and queue are full a call is refused at once with RetryInfo, and the ones before it are answered."""
    telemetry = _Counting()

    async def scenario() -> tuple[tuple[str, str], float | None]:
        async with handling(small_settings(queue_length=1), telemetry) as handler:
            await ask(handler, evaluation())
            gate = threading.Event()
            busy = [asyncio.create_task(handler.pool.run(gate.wait)) for _ in range(2)]
            await until(lambda: handler.pool.busy == 2)
            waiting = asyncio.create_task(ask(handler, evaluation()))
            await until(lambda: handler.pool.waiting == 1)
            failure = await failure_of(ask(handler, evaluation()))
            gate.set()
            await asyncio.gather(*busy)
            assert results(await waiting)[0].tolist() == [48.0]
            return refusal(failure), retry_seconds(failure)

    refused, retry = asyncio.run(scenario())
    assert refused == ("UNAVAILABLE", "QUEUE_FULL")
    assert retry is not None
    assert telemetry.heard["refused", "QUEUE_FULL"] == 1


def test_draining_refuses_new_calls() -> None:
    """A server that stops refuses new calls as UNAVAILABLE, with a time to try again."""

    async def scenario() -> tuple[tuple[str, str], float | None]:
        async with handling() as handler:
            handler.begin_draining()
            failure = await failure_of(ask(handler, evaluation()))
            return refusal(failure), retry_seconds(failure)

    assert asyncio.run(scenario()) == (("UNAVAILABLE", "SHUTTING_DOWN"), 1.0)


def test_everything_is_counted() -> None:
    """Calls, points, node evaluations, stages and lookups are counted, once each."""
    telemetry = _Counting()

    async def scenario() -> None:
        async with handling(telemetry=telemetry) as handler:
            points = matrix(np.ones((10, 3)))
            for _ in range(2):
                await ask(handler, evaluation(points=points))
            await failure_of(ask(handler, evaluation(kinds=())))

    asyncio.run(scenario())
    heard = telemetry.heard
    assert heard["Evaluate", "OK"] == 2
    assert heard["Evaluate", "INVALID_ARGUMENT"] == 1
    assert heard["refused", "REQUEST_MALFORMED"] == 1
    assert heard["points"] == 20
    assert heard["node_evaluations"] >= 20 * 7
    assert (heard["function", Outcome.MISS], heard["function", Outcome.HIT]) == (1, 1)
    assert (heard["program", Outcome.MISS], heard["program", Outcome.HIT]) == (1, 1)
    assert [heard[stage] for stage in Stage] == [2, 1, 2, 2]
