"""Processor levels: what code is compiled for, and which of them this machine can run."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache

from llvmlite import binding


@dataclass(frozen=True, slots=True)
class Level:
    """A class of processors that share one machine code.

    Attributes:
        name: as in file names, logs and metrics.
        triple: LLVM's name of the platform.
        cpu: LLVM's name of the processor model, a baseline that every machine of the level has.
        width: lanes in a vector.
        features: what LLVM must report of a machine that can run it.
    """

    name: str
    triple: str
    cpu: str
    width: int
    features: frozenset[str]


LEVELS: tuple[Level, ...] = (
    Level(
        "x86-64-v4",
        "x86_64-unknown-linux-gnu",
        "x86-64-v4",
        8,
        frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "fma", "bmi2"}),
    ),
    Level("x86-64-v3", "x86_64-unknown-linux-gnu", "x86-64-v3", 4, frozenset({"avx2", "fma", "bmi2", "f16c"})),
    Level("aarch64", "aarch64-unknown-linux-gnu", "generic", 4, frozenset()),
)
"""Every level, the best of each platform first."""

_PLATFORM_OF_MACHINE = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


@cache
def runs_on_host(level: Level) -> bool:
    """Whether this machine runs a level's code."""
    machine = _PLATFORM_OF_MACHINE.get(platform.machine(), "")
    present = {name for name, has in binding.get_host_cpu_features().items() if has}
    return level.triple.startswith(machine + "-") and level.features <= present


@cache
def host_level() -> Level | None:
    """Return the best level this machine runs; None when there is none, as on x86-64 without fused multiply-add."""
    return next(filter(runs_on_host, LEVELS), None)
