"""Runs a target on mutated inputs: with atheris, which keeps inputs that reach new code, or without, by chance alone.

python -m tests.hostile.fuzz requests --runs 500000
python -m tests.hostile.fuzz formulas --runs 500000 --plain
"""

from __future__ import annotations

import argparse
import importlib
import logging
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Protocol

from tests.hostile.fuzz import formulas, messages

_WARM_UP_RUNS = 2_000
_LARGEST_GROWTH_BYTES = 64 * 1024 * 1024
_INSTRUMENTED = ("gradmill_server.serving.wire", "gradmill_server.engine.formula", "gradmill_server.engine.check")
_LONGEST_INPUT = 4_096
_KEPT = 2_000


class Target(Protocol):
    """Something that takes an input."""

    def __call__(self, data: bytes) -> bool:
        """Return whether the input was answered and not refused. Raises for what must never happen."""

    def close(self) -> None:
        """End it."""


class Runs:
    """Counts runs, and watches that they do not use up the memory."""

    def __init__(self, target: Target, total: int) -> None:
        """Start with none of so many runs."""
        self._target = target
        self._total = total
        self._began = time.monotonic()
        self._settled_bytes = 0
        self.done = 0
        self.answered = 0

    def one(self, data: bytes) -> None:
        """Give an input to the target. Raises whatever must not happen, after writing the input."""
        try:
            self.answered += self._target(data)
        except BaseException:
            print(f"run {self.done}, input: {data!r}", file=sys.stderr, flush=True)  # noqa: T201
            raise
        self.done += 1
        if self.done == min(_WARM_UP_RUNS, self._total):
            self._settled_bytes = resident_bytes()
        if self.done % 50_000 == 0 or self.done == self._total:
            self._report()

    def _report(self) -> None:
        seconds = time.monotonic() - self._began
        growth = resident_bytes() - self._settled_bytes
        print(  # noqa: T201
            f"{self.done} runs, {self.answered} answered, {seconds / self.done * 1e6:.0f} us each,"
            f" memory {growth / 1e6:+.1f} MB since run {_WARM_UP_RUNS}",
            flush=True,
        )
        if growth > _LARGEST_GROWTH_BYTES:
            message = f"memory grew by {growth} bytes"
            raise MemoryError(message)


def resident_bytes() -> int:
    """Return how much memory this process holds."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4_096


def plainly(theme: ModuleType, runs: Runs, total: int, seed: int) -> None:
    """Mutate inputs by chance; those that were answered are mutated further."""
    source = random.Random(seed)

    def on_bytes(data: bytes) -> bytes:
        return messages.mutated_bytes(data, source)

    kept: list[bytes] = theme.corpus()
    for _ in range(total):
        data: bytes = theme.mutated(source.choice(kept), source, on_bytes)[:_LONGEST_INPUT]
        answered = runs.answered
        runs.one(data)
        if runs.answered == answered:
            continue
        if len(kept) < _KEPT:
            kept.append(data)
        else:
            kept[source.randrange(len(kept))] = data


def guided(theme: ModuleType, runs: Runs, total: int, seed: int) -> None:
    """Let atheris choose what to mutate: inputs that reach new code are mutated further. It ends the process."""
    import atheris  # noqa: PLC0415  to be had for x86_64 alone

    def mutate(data: bytes, size: int, seed_of_run: int) -> bytes:
        source = random.Random(seed_of_run)
        changed: bytes = theme.mutated(data, source, lambda each: atheris.Mutate(each, size - 1))
        return changed[:size]

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(theme.corpus()):
            (Path(folder) / str(number)).write_bytes(data)
        flags = [f"-runs={total}", f"-seed={seed}", f"-max_len={_LONGEST_INPUT}", "-len_control=0", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *flags, "-rss_limit_mb=0", folder], runs.one, custom_mutator=mutate)
        atheris.Fuzz()


def _target(name: str, *, instrumented: bool) -> Target:
    """Return a target; the modules under test are loaded here, so that atheris can watch them."""
    watching: AbstractContextManager[object] = nullcontext()
    if instrumented:
        import atheris  # noqa: PLC0415  to be had for x86_64 alone

        watching = atheris.instrument_imports(include=list(_INSTRUMENTED))
    with watching:
        targets = importlib.import_module("tests.hostile.fuzz.targets")
    made: Target = targets.RequestTarget() if name == "requests" else targets.FormulaTarget()
    return made


def main(arguments: Sequence[str]) -> int:
    """Run a target; return 0 when nothing happened that must not."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz", description=__doc__)
    parser.add_argument("target", choices=("requests", "formulas"))
    parser.add_argument("--runs", type=int, default=10_000, help="how many inputs; 10,000 unless said")
    parser.add_argument("--seed", type=int, default=1, help="the seed of all chance; 1 unless said")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)  # what the server takes for its own mistake, with its traceback
    theme = messages if chosen.target == "requests" else formulas
    runs = Runs(_target(chosen.target, instrumented=not chosen.plain), chosen.runs)
    run = plainly if chosen.plain else guided
    run(theme, runs, chosen.runs, chosen.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
