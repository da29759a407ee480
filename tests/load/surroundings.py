"""What a run needs before it begins: requests with answers of an undisturbed server, and a folder of machine code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradmill as gm
import grpc
import numpy as np

from tests.end_to_end.closed_form import FORMULA as BLACK_SCHOLES
from tests.end_to_end.option_rows import COLUMNS
from tests.load.calling import blocking
from tests.load.cases import Case, WrongAnswerError, learned, other_cases
from tests.load.sdk_traffic import SdkCase
from tests.load.workloads import (
    ROSENBROCK,
    SEED_FUNCTION,
    Workload,
    black_scholes_workload,
    pool,
    rosenbrock_workload,
    seed_workload,
)

OBJECT_CACHE = "GRADMILL_OBJECT_CACHE"
_DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gradmill" / "objects"


def learned_cases(address: str, seed: int) -> tuple[Case, ...]:
    """Ask an undisturbed server for every case of a run. Raises WrongAnswerError."""
    with grpc.insecure_channel(address) as channel:
        call = blocking(channel)
        evaluations = [learned(workload, call) for workload in pool(np.random.default_rng(seed))]
        return (*evaluations, *other_cases(call))


def learned_sdk_cases(address: str, seed: int) -> tuple[SdkCase, ...]:
    """Ask an undisturbed server for every case of the client's traffic. Raises WrongAnswerError."""
    with gm.connect(address) as client:
        return tuple(
            replace(case, expected=_right_answer(client, case, workload))
            for case, workload in _sdk_workloads(np.random.default_rng(seed))
        )


def _sdk_workloads(random: np.random.Generator) -> Iterator[tuple[SdkCase, Workload]]:
    for _ in range(6):
        workload = seed_workload(random.uniform(-5, 5, (1, 3)))
        yield SdkCase("client: one point", SEED_FUNCTION, (), workload.points), workload
    spot = random.uniform(50, 150, 400)
    rows = np.column_stack([spot, spot * random.uniform(0.8, 1.25, 400), *random.uniform(0.05, 0.6, (3, 400))])
    workload = black_scholes_workload(rows)
    names = tuple((name, ()) for name in COLUMNS)
    yield SdkCase("client: batch", BLACK_SCHOLES, names, rows), workload
    workload = rosenbrock_workload(random.uniform(-2, 2, (20_000, 10)))
    yield SdkCase("client: several messages", ROSENBROCK, (("x", (10,)),), workload.points), workload


def _right_answer(client: gm.Client, case: SdkCase, workload: Workload) -> tuple[np.ndarray, ...]:
    result = client.value_and_gradient(case.formula(), case.points, progress=False)
    answer = (np.asarray(result.values), np.asarray(result.gradient))
    found = workload.disagrees(answer)
    if found is not None:
        message = f"{case.scenario}: {found}"
        raise WrongAnswerError(message)
    return answer


def prepared_cache(folder: Path) -> Path:
    """Return a folder for machine code, filled with what this machine has, so that a server need not compile it.

    The files are linked, not copied; where that cannot be done the folder is empty, and the first start takes longer.
    """
    cache = folder / "machine-code"
    if cache.is_dir():
        return cache
    own = Path(os.environ.get(OBJECT_CACHE) or _DEFAULT_CACHE)
    try:
        shutil.copytree(own, cache, copy_function=os.link)
    except (OSError, shutil.Error):
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir()
    cache.chmod(0o700)
    return cache
