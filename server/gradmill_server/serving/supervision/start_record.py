"""The first record of the log: where the server listens, what it is made of, how it is set up."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Mapping
from importlib import metadata

from gradmill_server.serving import logs
from gradmill_server.serving.security.exposure import warnings
from gradmill_server.serving.settings import Settings

_DISTRIBUTIONS = ("gradmill", "numpy", "llvmlite", "grpcio", "protobuf")


def record_start(
    settings: Settings, address: str, metrics_address: str, processes: int, workers: int, descriptors: int
) -> None:
    """Write it, and after it what whoever runs the server should know about who can reach it.

    Args:
        settings: every one of them is in the record.
        address: where calls are answered, with the port chosen.
        metrics_address: where metrics are served; empty for nowhere.
        processes: how many answer calls.
        workers: how many threads compute in each of them.
        descriptors: how many files and connections each process may have open.
    """
    logs.record(
        logging.INFO,
        "start",
        address=address,
        metrics_address=metrics_address,
        process=os.getpid(),
        descriptors=descriptors,
        processes=processes,
        workers=workers,
        versions=_versions(),
        settings=settings.as_record(),
    )
    for reason in warnings(settings):
        logs.record(logging.WARNING, "exposed", reason=reason)


def _versions() -> Mapping[str, str]:
    return {"python": platform.python_version()} | {name: _installed(name) for name in _DISTRIBUTIONS}


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
