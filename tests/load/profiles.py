"""Runs of mixed traffic under faults, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.load.campaign import Profile
from tests.load.faults import FAULTS

PROFILES: Mapping[str, Profile] = {
    "ci": Profile(
        name="ci",
        undisturbed_seconds=4.0,
        afterwards_seconds=3.0,
        faults=len(FAULTS),
        most_seconds=90.0,
        interval_seconds=0.5,
        rate=40.0,
        client_pause_seconds=0.4,
        storm_size=0.25,
    ),
    "half-hour": Profile(
        name="half-hour",
        undisturbed_seconds=30.0,
        afterwards_seconds=30.0,
        faults=400,
        most_seconds=1_700.0,
        interval_seconds=4.2,
        rate=90.0,
        client_pause_seconds=0.3,
        storm_size=1.0,
    ),
}
"""Every profile."""
