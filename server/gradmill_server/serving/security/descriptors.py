"""File descriptors: every connection takes one, and a process that has none left accepts nobody."""

from __future__ import annotations

import resource

_WANTED = 65_536


def raise_descriptor_limit() -> int:
    """Let this process have as many descriptors as its hard limit allows, up to 65,536; return how many it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = _WANTED if hard == unlimited else min(hard, _WANTED)
    if soft == unlimited or soft >= wanted:
        return _WANTED if soft == unlimited else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
