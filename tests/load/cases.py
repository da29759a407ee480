"""Requests as bytes, each with the fingerprint of its right answer: what travels to the processes that send them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import gradmill as gm
import numpy as np
from gradmill.sources import as_source
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.v1.graph_pb2 import Array as ArrayMessage

from tests.end_to_end.malformed import malformed_requests
from tests.load.answers import fingerprint, parsed, results_of
from tests.load.workloads import SEED_FUNCTION, Workload, array_message, formula_message

Verify = Callable[[bytes], str | None]


@dataclass(frozen=True, slots=True)
class Case:
    """One request whose right answer is known to the bit.

    Attributes:
        scenario: what kind of traffic it is, for the report.
        method: the service's method.
        body: the request with the function in full.
        short_body: the same with the function's digest; equal to ``body`` where there is no such form.
        right_answer: the fingerprint of the right answer; empty before it is known.
    """

    scenario: str
    method: str
    body: bytes
    short_body: bytes
    right_answer: bytes = b""

    def disagrees(self, answer: bytes) -> str | None:
        """Return what is wrong with an answer, None when it is right to the bit."""
        try:
            same = fingerprint(self.method, answer) == self.right_answer
        except ValueError as error:
            return f"unreadable answer: {error}"
        return None if same else "other bits than those of the undisturbed server"


@dataclass(frozen=True, slots=True)
class WrongRequest:
    """A request that must be refused, and how."""

    name: str
    body: bytes
    code: str
    reason: str


class WrongAnswerError(Exception):
    """The undisturbed server's answer does not agree with the independent reference."""


def evaluation_case(workload: Workload, digest: bytes = b"") -> Case:
    """Return the request of a workload; with a digest also in its short form."""
    body = workload.request().SerializeToString()
    short = workload.request(service.Function(digest=digest)).SerializeToString() if digest else body
    return Case(workload.scenario, "Evaluate", body, short)


def learned(workload: Workload, call: Callable[[str, bytes], bytes]) -> Case:
    """Ask the undisturbed server for a workload's answer, check it independently, and keep its bits.

    Raises:
        WrongAnswerError: it is wrong, or asked by digest it has other bits.
    """
    first = call("Evaluate", evaluation_case(workload).body)
    found = workload.disagrees(results_of(first))
    if found is not None:
        message = f"{workload.scenario}: {found}"
        raise WrongAnswerError(message)
    case = evaluation_case(workload, parsed(first, service.EvaluateResponse()).digest)
    return _confirmed(replace(case, right_answer=fingerprint("Evaluate", first)), call)


def other_cases(call: Callable[[str, bytes], bytes]) -> Iterator[Case]:
    """Yield cases of the methods that do not evaluate, checked like those that do. Raises WrongAnswerError."""
    for method, scenario, body, verify in (*_registrations(), *_explanations()):
        answer = call(method, body)
        found = verify(answer)
        if found is not None:
            message = f"{scenario}: {found}"
            raise WrongAnswerError(message)
        yield _confirmed(Case(scenario, method, body, body, fingerprint(method, answer)), call)


def _confirmed(case: Case, call: Callable[[str, bytes], bytes]) -> Case:
    found = case.disagrees(call(case.method, case.short_body))
    if found is not None:
        message = f"{case.scenario}, asked a second time: {found}"
        raise WrongAnswerError(message)
    return case


def _registrations() -> Iterator[tuple[str, str, bytes, Verify]]:
    x, y = gm.inputs("x", "y")
    for power in range(2, 6):
        traced = (x**power + gm.sin(y) * x).as_function()
        request = service.RegisterFunctionRequest(
            function=as_source(traced).message(),
            wants=[service.Want(derivative=service.DERIVATIVE_GRADIENT)],
        )

        def verify(answer: bytes, expected: bytes = traced.digest) -> str | None:
            got = parsed(answer, service.RegisterFunctionResponse()).digest
            return None if got == expected else f"digest {got.hex()}, but by the specification {expected.hex()}"

        yield "RegisterFunction", "register", request.SerializeToString(), verify


def _explanations() -> Iterator[tuple[str, str, bytes, Verify]]:
    for point in ([2.0, 3.0, 4.0], [-1.0, 0.5, 8.0]):
        request = service.ExplainRequest(
            function=formula_message(SEED_FUNCTION), points=service.Points(matrix=array_message(np.array([point])))
        )
        first, second, third = point
        expected = [6 * first, 3 * third, 3 * second]

        def verify(answer: bytes, expected: Sequence[float] = tuple(expected)) -> str | None:
            nodes = parsed(answer, service.ExplainResponse()).nodes
            got = tuple(_number(node.adjoint) for node in nodes if node.operation == "input")
            return None if got == tuple(expected) else f"adjoints {got}, not {tuple(expected)}"

        yield "Explain", "explain", request.SerializeToString(), verify


def _number(array: ArrayMessage) -> float:
    return float(array.values[0] if array.values else np.frombuffer(array.data)[0])


def wrong_requests(*, largest_bytes: int = 50_000) -> Iterator[WrongRequest]:
    """Yield requests that must be refused with a certain code and reason."""
    for entry in malformed_requests():
        if len(entry.body) <= largest_bytes:
            yield WrongRequest(entry.name, entry.body, entry.status, entry.reason)
