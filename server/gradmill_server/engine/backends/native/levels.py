"""Processor levels: what code is compiled for, and which of them this machine can run."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from functools import cache

from llvmlite import binding

from gradmill_server.engine.element_types import ElementType


@dataclass(frozen=True, slots=True)
class Level:
    """A class of processors that share one machine code.

    Attributes:
        name: as in file names, logs and metrics.
        triple: LLVM's name of the platform.
        cpu: LLVM's name of the processor model, a baseline that every machine of the level has.
        width: lanes in a vector.
        register_lanes: lanes in one of the machine's vector registers.
        features: what LLVM must report of a machine that can run it.
        element_type: that of lanes.
    """

    name: str
    triple: str
    cpu: str
    width: int
    register_lanes: int
    features: frozenset[str]
    element_type: ElementType = ElementType.FLOAT64

    def of(self, element_type: ElementType) -> Level:
        """Return the level for lanes of an element type, given those of float64; twice as many of float32."""
        if element_type is self.element_type:
            return self
        more = ElementType.FLOAT64.size // element_type.size
        return replace(
            self,
            name=f"{self.name}-{element_type.label}",
            width=more * self.width,
            register_lanes=more * self.register_lanes,
            element_type=element_type,
        )

    @property
    def function_width(self) -> int:
        """Lanes in a vector of float64, as which vector functions compute whatever the element type."""
        return self.width * self.element_type.size // ElementType.FLOAT64.size

    @property
    def block_lanes(self) -> tuple[int, ...]:
        """The widths a block of points may have, the narrowest first: the widest fills eight registers.

        Eight is how many vectors a function call passes in registers on every platform.
        """
        narrowest = max(8, self.width)
        return tuple(sorted({narrowest, 2 * narrowest, 8 * self.register_lanes}))


_V3 = frozenset({"avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"})
"""What the level x86-64-v3 of the System V ABI has above v2."""

LEVELS: tuple[Level, ...] = (
    Level(
        "x86-64-v4",
        "x86_64-unknown-linux-gnu",
        "x86-64-v4",
        8,
        8,
        _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    ),
    Level("x86-64-v3", "x86_64-unknown-linux-gnu", "x86-64-v3", 4, 4, _V3),
    Level("aarch64", "aarch64-unknown-linux-gnu", "generic", 4, 2, frozenset()),
)
"""Every level, the best of each platform first."""

_PLATFORM_OF_MACHINE = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


@cache
def runs_on_host(level: Level) -> bool:
    """Whether this machine runs a level's code."""
    return _is_for_host(level) and level.features <= _host_features()


def _is_for_host(level: Level) -> bool:
    machine = _PLATFORM_OF_MACHINE.get(platform.machine(), "")
    return level.triple.startswith(machine + "-")


def _host_features() -> frozenset[str]:
    return frozenset(name for name, has in binding.get_host_cpu_features().items() if has)


def missing_features() -> list[str]:
    """Return what this machine lacks of the least level of its platform, sorted; nothing where there is no level."""
    levels = [level for level in LEVELS if _is_for_host(level)]
    return sorted(levels[-1].features - _host_features()) if levels else []


@cache
def host_level() -> Level | None:
    """Return the best level this machine runs; None when there is none, as on x86-64 without fused multiply-add."""
    return next(filter(runs_on_host, LEVELS), None)
