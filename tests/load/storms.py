"""Storms: many requests of one bad kind at once, sent and judged like all other traffic."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import numpy as np
from gradmill.v1 import gradient_service_pb2 as service
from gradmill.v1.graph_pb2 import Array, Graph, Input, Node, Output

from tests.load.answers import results_of
from tests.load.calling import Ending, RawClient
from tests.load.judging import LATE
from tests.load.outcomes import OK
from tests.load.raw_traffic import CALL_SECONDS, RawTraffic
from tests.load.workloads import array_message

Storm = Callable[[RawTraffic, int], Awaitable[None]]
_BURST_SECONDS = 1.0
_OVERSIZED_BYTES = 17 * 1024 * 1024
_LOST_INTEREST_SECONDS = 0.02


async def overload(traffic: RawTraffic, size: int) -> None:
    """Begin ``size`` calls evenly over a second, whatever becomes of them."""
    heaviest = max(traffic.evaluations, key=lambda case: len(case.body))

    async def send(chance: random.Random) -> None:
        await traffic.send_case(chance, heaviest, scenario="overload burst", seconds=0.5, also=LATE)

    began = time.monotonic()
    tasks = []
    for number in range(size):
        await asyncio.sleep(max(0.0, began + _BURST_SECONDS * number / size - time.monotonic()))
        tasks.append(traffic.start(send))
    await asyncio.gather(*tasks)


async def cancellations(traffic: RawTraffic, size: int) -> None:
    """Begin calls all at once and lose interest in all of them."""
    await asyncio.gather(*(traffic.start(partial(_send_and_cancel, traffic)) for _ in range(size)))


async def _send_and_cancel(traffic: RawTraffic, chance: random.Random) -> None:
    case, after = chance.choice(traffic.evaluations), chance.uniform(0.0, _LOST_INTEREST_SECONDS)
    also = frozenset({"CANCELLED"})
    await traffic.send_case(chance, case, scenario="cancel storm", cancel_after=after, also=also)


async def expired_deadlines(traffic: RawTraffic, size: int) -> None:
    """Begin calls whose deadlines are over before they arrive."""

    async def send(chance: random.Random) -> None:
        case = chance.choice(traffic.evaluations)
        await traffic.send_case(chance, case, scenario="expired deadline", seconds=0.0001, also=LATE)

    await asyncio.gather(*(traffic.start(send) for _ in range(size)))


async def new_functions(traffic: RawTraffic, size: int) -> None:
    """Send functions that nobody has sent before, so that what others use falls out of the cache."""
    await asyncio.gather(*(traffic.start(traffic.send_new_function) for _ in range(size)))


async def wrong_requests(traffic: RawTraffic, size: int) -> None:
    """Send requests that must be refused, and some that are larger than any may be."""
    tasks = [traffic.start(traffic.send_wrong_request) for _ in range(size)]
    tasks += [traffic.start(partial(_send_oversized, traffic)) for _ in range(3)]
    await asyncio.gather(*tasks)


async def _send_oversized(traffic: RawTraffic, _: random.Random) -> None:
    number, began = traffic.recorder.begin("oversized message"), time.monotonic()
    ending = await traffic.client.call("Evaluate", bytes(_OVERSIZED_BYTES), CALL_SECONDS)
    traffic.record(number, "oversized message", began, ending, expected=("RESOURCE_EXHAUSTED", ""))


async def reconnections(traffic: RawTraffic, size: int) -> None:
    """Open as many connections at once, each for one call."""
    await asyncio.gather(*(traffic.start(partial(_send_over_new_connection, traffic)) for _ in range(size)))


async def _send_over_new_connection(traffic: RawTraffic, chance: random.Random) -> None:
    case = chance.choice(traffic.plan.cases)
    number, began = traffic.recorder.begin("new connection"), time.monotonic()
    client = RawClient(traffic.plan.address)
    try:
        ending = await client.call(case.method, case.body, CALL_SECONDS)
    finally:
        await client.close()
    problem = case.disagrees(ending.body) or "" if ending.code == OK else ""
    traffic.record(number, "new connection", began, ending, problem=problem)


async def hostile_compilation(traffic: RawTraffic, size: int) -> None:
    """Send a function of as many operations, new each time, so that it has to be compiled."""
    await traffic.start(partial(_send_chain, traffic, size))


async def _send_chain(traffic: RawTraffic, length: int, chance: random.Random) -> None:
    factor = chance.randint(2, 1_000_000)
    body = await asyncio.to_thread(chain_request, factor, length)
    number, began = traffic.recorder.begin("huge function"), time.monotonic()
    ending = await traffic.client.call("Evaluate", body, CALL_SECONDS)
    problem = _wrong_chain(ending, factor, length) if ending.code == OK else ""
    traffic.record(number, "huge function", began, ending, problem=problem, also=LATE)


def chain_request(factor: int, length: int) -> bytes:
    """Return value and gradient of factor*x + x + x + ... at 3, with ``length`` additions."""
    nodes = [Node(operation=0, arguments=(0, 1))]
    nodes += [Node(operation=1, arguments=(2 + number, 0)) for number in range(length)]
    graph = Graph(
        inputs=[Input(name="x")],
        constants=[Array(values=[float(factor)])],
        operation_names=["multiply", "add"],
        nodes=nodes,
        outputs=[Output(name="value", value=2 + length)],
    )
    request = service.EvaluateRequest(
        function=service.Function(graph=graph),
        wants=[service.Want(derivative=kind) for kind in (service.DERIVATIVE_VALUE, service.DERIVATIVE_GRADIENT)],
        points=service.Points(matrix=array_message(np.array([[3.0]]))),
    )
    return request.SerializeToString()


def _wrong_chain(ending: Ending, factor: int, length: int) -> str:
    value, gradient = (float(result.ravel()[0]) for result in results_of(ending.body))
    slope = float(factor + length)
    return (
        "" if (value, gradient) == (3 * slope, slope) else f"{value!r} and {gradient!r}, not {3 * slope!r}, {slope!r}"
    )


STORMS: Mapping[str, Storm] = {
    "overload": overload,
    "cancellations": cancellations,
    "expired deadlines": expired_deadlines,
    "new functions": new_functions,
    "wrong requests": wrong_requests,
    "reconnections": reconnections,
    "hostile compilation": hostile_compilation,
}
"""Every storm by its name, to be asked for with a size."""
