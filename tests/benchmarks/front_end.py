"""What the front end costs, stage by stage: from a graph's bytes on the wire to the tape of its gradient.

Run it from the root of the repository, for all functions or for those named::

    python -m tests.benchmarks.front_end [--report stages|stalls] [random-1000 ...]

Each function is measured in a fresh process, on Linux. Times are medians of the processor time of one thread; memory
is the growth of the process's largest resident size. Both are given per node of the graph that computes the gradient,
or of the function as sent where that is larger. A stall is the longest time between two looks at the clock by a second
thread: how long a stage kept the interpreter lock, and so an event loop, from everyone else.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill.v1 import graph_pb2
from gradmill_server.engine.autodiff import Propagation, backward
from gradmill_server.engine.backends.choice import executable, road
from gradmill_server.engine.backends.results import ResultGroup
from gradmill_server.engine.canonical import canonicalize, digest
from gradmill_server.engine.ir import Graph, GraphBuilder, Output
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.passes.simplify import simplify
from gradmill_server.engine.passes.stable_forms import use_stable_forms
from gradmill_server.serving.wire.functions import DigestReference, read_function

Made = TypeVar("Made")

_UNARY = ("sin", "cos", "exp", "tanh", "log")
_BINARY = ("add", "subtract", "multiply")
_STAGES = ("parse", "read", "canonical", "digest", "stable", "simplify", "backward", "simplify 2", "assemble")
_ROUNDS_NODES = 100_000
"""A function is measured as often as makes about this many nodes, at most 51 times."""


def random_message(nodes: int, seed: int = 1) -> graph_pb2.Graph:
    """Return a function of 24 inputs: a tenth elementary functions, the rest sums, differences and products."""
    rng = random.Random(seed)
    message = graph_pb2.Graph(operation_names=(*_UNARY, *_BINARY))
    message.inputs.extend(graph_pb2.Input(name=f"x{place}") for place in range(24))
    for index in range(24, 24 + nodes):
        if rng.random() < 0.1:
            message.nodes.add(operation=rng.randrange(len(_UNARY)), arguments=[_operand(rng, index)])
        else:
            operation = len(_UNARY) + rng.randrange(len(_BINARY))
            message.nodes.add(operation=operation, arguments=[_operand(rng, index), _operand(rng, index)])
    message.outputs.add(name="value", value=_sum_of_unused(message))
    return message


def _operand(rng: random.Random, index: int) -> int:
    return rng.randrange(max(0, index - 40), index) if rng.random() < 0.9 else rng.randrange(index)


def _sum_of_unused(message: graph_pb2.Graph) -> int:
    """Add up the values that nothing reads, so that an output needs every node; return the sum's index."""
    first = len(message.inputs)
    read = {argument for node in message.nodes for argument in node.arguments}
    unused = [index for index in range(first, first + len(message.nodes)) if index not in read]
    total = unused[0]
    for index in unused[1:]:
        message.nodes.add(operation=list(message.operation_names).index("add"), arguments=[total, index])
        total = first + len(message.nodes) - 1
    return total


def chain_message(additions: int) -> graph_pb2.Graph:
    """Return x + y + x + y + ..., one addition on top of the other."""
    message = graph_pb2.Graph(operation_names=["add"])
    message.inputs.extend(graph_pb2.Input(name=name) for name in ("x", "y"))
    for position in range(additions):
        message.nodes.add(arguments=[position + 1 if position else 0, 1 - position % 2])
    message.outputs.add(name="value", value=additions + 1)
    return message


def rosenbrock_message(inputs: int) -> graph_pb2.Graph:
    """Return the sum over i of 100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2, powers written as products."""
    message = graph_pb2.Graph(operation_names=["add", "subtract", "multiply"])
    message.inputs.extend(graph_pb2.Input(name=f"x{place}") for place in range(inputs))
    message.constants.extend(graph_pb2.Array(values=[number]) for number in (100.0, 1.0))
    hundred, one = inputs, inputs + 1

    def add(operation: int, *arguments: int) -> int:
        message.nodes.add(operation=operation, arguments=arguments)
        return inputs + 1 + len(message.nodes)

    total = -1
    for place in range(inputs - 1):
        valley = add(1, place + 1, add(2, place, place))
        slope = add(1, one, place)
        term = add(0, add(2, hundred, add(2, valley, valley)), add(2, slope, slope))
        total = term if total < 0 else add(0, total, term)
    message.outputs.add(name="value", value=total)
    return message


FUNCTIONS: dict[str, Callable[[], graph_pb2.Graph]] = {
    "random-1000": lambda: random_message(1_000),
    "random-10000": lambda: random_message(10_000),
    "random-100000": lambda: random_message(100_000),
    "random-1000000": lambda: random_message(1_000_000),
    "chain-1000000": lambda: chain_message(1_000_000),
    "rosenbrock-1000": lambda: rosenbrock_message(1_000),
}


class Watch:
    """Takes the time of stages, the process's largest size after each, and the longest stall within each."""

    def __init__(self, *, stalls: bool) -> None:
        """Start without any figures; looking for stalls disturbs times a little."""
        self.seconds: dict[str, list[float]] = {}
        self.peak_bytes: dict[str, int] = {}
        self.stalls: dict[str, float] = {}
        self._look_for_stalls = stalls

    def stage(self, name: str, work: Callable[[], Made]) -> Made:
        """Do the work of a stage and note what it took."""
        ticker = _Ticker() if self._look_for_stalls else None
        start = time.process_time()
        made = work()
        self.seconds.setdefault(name, []).append(time.process_time() - start)
        self.peak_bytes.setdefault(name, peak_bytes())
        if ticker is not None:
            self.stalls[name] = ticker.longest()
        return made


class _Ticker:
    """A second thread that wants to run every millisecond."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        last = time.perf_counter()
        while not self._stop.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            self._longest = max(self._longest, now - last)
            last = now

    def longest(self) -> float:
        """Stop; return the longest time between two looks at the clock, in seconds."""
        self._stop.set()
        self._thread.join()
        return self._longest


def peak_bytes() -> int:
    """Return the largest resident size that this process has had."""
    # Not the one of getrusage, which begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text("ascii")
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def front_end(data: bytes, watch: Watch) -> Graph:
    """Take the road from a function's bytes to an executable; return the graph that it was made of."""
    # Held to the end, as the store of functions holds it. Whatever else is done with is let go.
    canonical = _canonical(data, watch)
    watch.stage("digest", lambda: digest(canonical))
    simple = _simplified(canonical, watch)
    differentiated = watch.stage("backward", lambda: with_gradient(simple))
    last = watch.stage("simplify 2", lambda: simplify(differentiated))
    gradient = ResultGroup(1, ((),) * len(last.outputs), is_row=True)
    watch.stage("assemble", lambda: executable(last, [gradient], by=road(last)))
    return last


def _canonical(data: bytes, watch: Watch) -> Graph:
    graph = _received(data, watch)
    return watch.stage("canonical", lambda: canonicalize(graph))


def _received(data: bytes, watch: Watch) -> Graph:
    reference = read_function(watch.stage("parse", lambda: service_pb2.Function.FromString(data)))
    if isinstance(reference, DigestReference):
        raise TypeError(reference)
    return watch.stage("read", lambda: reference.read(Limits()))


def _simplified(graph: Graph, watch: Watch) -> Graph:
    stable, _ = watch.stage("stable", lambda: use_stable_forms(graph))
    return watch.stage("simplify", lambda: simplify(stable))


def with_gradient(graph: Graph) -> Graph:
    """Return the graph with the gradient of its first output as its outputs."""
    builder = GraphBuilder.extending(graph)
    inputs = range(len(graph.inputs))
    adjoints = backward(builder, graph.outputs[0].node, inputs, Propagation())
    return builder.finish([Output(f"result_{index}", adjoints[index]) for index in inputs])


def measure(*, stalls: bool) -> None:
    """Measure the function whose bytes come on standard input; print the figures as JSON."""
    data = sys.stdin.buffer.read()
    front_end(_function_bytes(random_message(100)), Watch(stalls=False))
    gc.collect()
    before = peak_bytes()
    watch = Watch(stalls=stalls)
    started = time.process_time()
    made = len(front_end(data, watch).nodes)
    nodes = max(made, len(service_pb2.Function.FromString(data).graph.nodes))
    first_seconds = time.process_time() - started
    if not stalls:
        for _ in range(min(50, _ROUNDS_NODES // nodes)):
            front_end(data, watch)
    figures = {
        "nodes": nodes,
        "seconds": {name: statistics.median(watch.seconds[name]) for name in _STAGES},
        "bytes": {name: watch.peak_bytes[name] - before for name in _STAGES},
        "stalls": watch.stalls,
        "first_seconds": first_seconds,
    }
    print(json.dumps(figures))  # noqa: T201 - a benchmark speaks by printing


def _function_bytes(message: graph_pb2.Graph) -> bytes:
    return service_pb2.Function(graph=message).SerializeToString()


def report(name: str, kind: str) -> None:
    """Measure one of the functions in a fresh process, and print a line for times and one for memory, or for stalls."""
    command = [sys.executable, "-m", "tests.benchmarks.front_end", "--measure", kind]
    answer = subprocess.run(command, input=_function_bytes(FUNCTIONS[name]()), capture_output=True, check=True)
    figures = json.loads(answer.stdout)
    nodes = figures["nodes"]
    if kind == "stalls":
        _line(f"{name}, ms", [1e3 * figures["stalls"][stage] for stage in _STAGES])
        return
    micros = [1e6 * figures["seconds"][stage] / nodes for stage in _STAGES]
    _line(f"{name}, us", [*micros, sum(micros)])
    sizes = [figures["bytes"][stage] / nodes for stage in _STAGES]
    _line(f"{'':{len(name)}}  bytes", [*sizes, max(sizes)])


def _line(title: str, figures: list[float]) -> None:
    print(f"{title:24}" + "".join(f"{figure:11.2f}" for figure in figures), flush=True)  # noqa: T201


def main() -> None:
    """Measure the functions named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", choices=[*FUNCTIONS, []], help="default: all")
    parser.add_argument("--report", choices=("stages", "stalls"), default="stages")
    parser.add_argument("--measure", choices=("stages", "stalls"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(stalls=options.measure == "stalls")
        return
    titles = _STAGES if options.report == "stalls" else (*_STAGES, "total")
    print(f"{'per node':24}" + "".join(f"{title:>11}" for title in titles))  # noqa: T201
    for name in options.functions or FUNCTIONS:
        report(name, options.report)


if __name__ == "__main__":
    main()
