"""The command line of the load tool: ``python -m tests.load``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gradmill import RetryPolicy

from tests.load.campaign import Campaign, Profile
from tests.load.faults import FAULTS
from tests.load.report import Verdict, json_report, text_report

PROFILES = {
    "ci": Profile(
        name="ci",
        undisturbed_seconds=4.0,
        faults=len(FAULTS),
        most_seconds=90.0,
        interval_seconds=0.5,
        rate=40.0,
        client_pause_seconds=0.4,
        storm_size=0.25,
        client_retry_budget=1_000,
    ),
    "half-hour": Profile(
        name="half-hour",
        undisturbed_seconds=30.0,
        faults=330,
        most_seconds=1_700.0,
        interval_seconds=5.1,
        rate=70.0,
        client_pause_seconds=0.3,
        storm_size=1.0,
        client_retry_budget=RetryPolicy().budget,
    ),
}


def run_profile(options: argparse.Namespace) -> Verdict:
    """Run a profile as the options say."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(PROFILES[options.name], options.seed, Path(folder), options.server_flags, tell)
        findings = asyncio.run(campaign.run())
    return Verdict(findings, recovery_limit_seconds=options.recovery_limit)


def tell(line: str) -> None:
    """Show a line of progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print its report, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load")
    parser.add_argument("name", choices=PROFILES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recovery-limit", type=float, default=1.0)
    parser.add_argument("--server-flags", nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args(arguments)
    verdict = run_profile(options)
    sys.stdout.write(text_report(verdict))
    if options.json:
        options.json.write_text(json_report(verdict))
    return int(not verdict.is_good)


if __name__ == "__main__":
    raise SystemExit(main())
