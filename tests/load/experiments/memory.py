"""Memory after minutes of mixed load is what it was after the first."""

from __future__ import annotations

import numpy as np

from tests.load.campaign import Campaign, Profile
from tests.load.experiments.measuring import Figure, Laboratory
from tests.load.report import Verdict, text_report

_SECONDS = 300.0
_CACHE_BYTES = 16 * 2**20
"""Small, so that it is full before memory is first looked at; functions are new all the time."""

_SETTLING_SECONDS = 60.0
_WINDOW_SECONDS = 20.0
_GROWTH = 1.05


async def run(laboratory: Laboratory) -> list[Figure]:
    """Send mixed traffic without faults, and compare what the server holds at the end with what it held at first."""
    settling = _SETTLING_SECONDS * laboratory.scale
    profile = Profile(
        name="memory",
        undisturbed_seconds=settling,
        afterwards_seconds=_SECONDS * laboratory.scale,
        faults=0,
        most_seconds=0.0,
        interval_seconds=1.0,
        rate=120.0,
        client_pause_seconds=0.2,
        storm_size=1.0,
    )
    flags = ["--cache-bytes", str(_CACHE_BYTES), *laboratory.flags]
    campaign = Campaign(profile, laboratory.seed, laboratory.folder, flags, laboratory.tell)
    findings = await campaign.run()
    verdict = Verdict(findings, recovery_limit_seconds=1.0)
    laboratory.tell(text_report(verdict))
    times = np.array([seconds for seconds, _ in findings.samples])
    began, ended = (moment - findings.started for moment in findings.phases["afterwards"])
    window = _WINDOW_SECONDS * laboratory.scale
    first, last = (times >= began) & (times < began + window), (times > ended - window) & (times <= ended)

    def mean(attribute: str, chosen: np.ndarray) -> float:
        return float(np.mean([getattr(held, attribute) for _, held in findings.samples], where=chosen))

    growth = mean("resident_bytes", last) / mean("resident_bytes", first)
    megabytes = [mean("resident_bytes", chosen) / 2**20 for chosen in (first, last)]
    figures = [
        Figure(
            f"resident memory over {ended - began:.0f} s, {findings.tally.checked:,} answers",
            f"{megabytes[0]:.1f} to {megabytes[1]:.1f} MiB: {growth - 1:+.1%}",
            "<= +5 %",
            growth <= _GROWTH,
        )
    ]
    for attribute in ("descriptors", "threads"):
        grown = mean(attribute, last) - mean(attribute, first)
        figures.append(Figure(attribute, f"{grown:+.1f}", "<= +3", grown <= 3))
    figures.append(
        Figure("violations and incidents", str(len(verdict.violations) + len(verdict.incidents)), "0", verdict.is_good)
    )
    return figures
