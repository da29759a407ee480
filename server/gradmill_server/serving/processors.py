"""How many processors this process may use: those it is bound to, and of their time what its control groups allow."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def processors(cgroups: Path = _CGROUPS, own_cgroup: Path = _OWN_CGROUP) -> int:
    """Return the number of processors that this process may use, at least 1; a part of one counts as one.

    Args:
        cgroups: where the tree of control groups (version 2) is mounted.
        own_cgroup: the file that names this process's place in it.
    """
    bound_to = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in control_groups(cgroups, own_cgroup) if (quota := _quota(folder)) is not None]
    return max(1, min([bound_to, *map(math.ceil, quotas)]))


def control_groups(cgroups: Path = _CGROUPS, own_cgroup: Path = _OWN_CGROUP) -> Iterator[Path]:
    """Yield the folders of this process's control group and of all that contain it; arguments as for `processors`."""
    try:
        lines = own_cgroup.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        hierarchy, _, path = line.partition("::")
        if hierarchy == "0":
            own = cgroups / path.lstrip("/")
            yield own
            yield from (parent for parent in own.parents if parent.is_relative_to(cgroups))


def _quota(folder: Path) -> float | None:
    """Return how many processors' time a control group may use; None for no bound."""
    try:
        allowed, period = (folder / "cpu.max").read_text().split()
        return None if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
