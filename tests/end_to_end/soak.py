"""Many calls on one channel, and many channels with one call each; every answer is checked.

python -m tests.end_to_end.soak --calls 10000 --reconnects 10000
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import grpc
import numpy as np

from tests.end_to_end.server_process import running_server
from tests.hostile.sending import CANARY, CANARY_ANSWER, numbers_in, send


class Soaked(NamedTuple):
    """How many calls were made, how many of them failed, and the slowest's seconds."""

    calls: int
    failures: int
    slowest_seconds: float


def on_one_channel(address: str, calls: int) -> Soaked:
    """Make calls one after the other on one channel."""
    with grpc.insecure_channel(address) as channel:
        return _counted([_call(channel) for _ in range(calls)])


def on_channels_of_their_own(address: str, calls: int) -> Soaked:
    """Make calls one after the other, each on a connection of its own."""
    outcomes = []
    # Without a pool of its own a channel would take over the connection of the one before it.
    options = [("grpc.use_local_subchannel_pool", 1)]
    for _ in range(calls):
        with grpc.insecure_channel(address, options) as channel:
            outcomes.append(_call(channel))
    return _counted(outcomes)


def _call(channel: grpc.Channel) -> tuple[bool, float]:
    began = time.monotonic()
    outcome = send(channel, "Evaluate", CANARY)
    right = outcome.code == "OK" and np.array_equal(numbers_in(outcome.body), CANARY_ANSWER)
    return right, time.monotonic() - began


def _counted(outcomes: Sequence[tuple[bool, float]]) -> Soaked:
    failures = sum(not right for right, _ in outcomes)
    return Soaked(len(outcomes), failures, max(seconds for _, seconds in outcomes))


def main(arguments: Sequence[str]) -> int:
    """Soak a server and print what came of it; return 0 when no call failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000, help="calls on one channel; 10,000 unless said")
    parser.add_argument("--reconnects", type=int, default=10_000, help="channels of one call; 10,000 unless said")
    chosen = parser.parse_args(arguments)
    with running_server() as server:
        outcomes = {
            "on one channel": on_one_channel(server.address, chosen.calls),
            "on channels of their own": on_channels_of_their_own(server.address, chosen.reconnects),
        }
    for name, outcome in outcomes.items():
        print(  # noqa: T201
            f"{outcome.calls} calls {name}: {outcome.failures} failures, slowest {outcome.slowest_seconds * 1e3:.0f} ms"
        )
    return int(any(outcome.failures for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
