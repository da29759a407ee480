"""The command line of the load tool: ``python -m tests.load``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.load.campaign import Campaign
from tests.load.experiments import cancel, health, isolation, kills, memory, overload, term
from tests.load.experiments.measuring import Figure, Laboratory
from tests.load.profiles import PROFILES
from tests.load.replay import SOURCES, replayed
from tests.load.report import Verdict, figures_report, json_of_figures, json_report, text_report

EXPERIMENTS: Mapping[str, Callable[[Laboratory], Awaitable[list[Figure]]]] = {
    "overload": overload.run,
    "isolation": isolation.run,
    "kills": kills.run,
    "term": term.run,
    "memory": memory.run,
    "cancel": cancel.run,
    "health": health.run,
}
"""Every experiment by its name."""

_REPLAYS = 100
_ENDED = 128 + signal.SIGTERM

_DESCRIPTION = """\
Put a gradmill server under load, do things to it, and check every answer. A run of mixed traffic judges each request;
an experiment gives one figure of how the service bears a bad day, beside what it should be.
"""

_EPILOG = """\
runs of mixed traffic:
  ci         every kind of fault once, about 40 seconds
  half-hour  300 to 400 faults, more than 120,000 checked answers

experiments:
  overload   goodput at half to eight times the capacity, 100 ms deadlines (1 minute)
  isolation  a quiet caller beside one who sends ten times his share (40 seconds)
  kills      twenty workers killed in a row under a client that tries again (1 minute)
  term       SIGTERM under load (30 seconds)
  memory     five minutes of mixed load (6 minutes)
  cancel     two thousand calls given up (10 seconds)
  health     health checks while all workers are busy with ten-second passes (30 seconds)

examples:
  python -m tests.load ci
  python -m tests.load half-hour --seed 7 --json half-hour.json --markdown half-hour.md
  python -m tests.load overload --scale 0.3
  python -m tests.load replay --seed 7 --source raw --arrival 4711      what a violation names, a hundred times over
  python -m tests.load kills -- --workers 1          what follows -- is for the server

exit status:
  0  all is well
  1  a violation, an incident, or a figure that misses its aim
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print its report, and return the exit status."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED))  # so that servers and callers are ended, too
    with tempfile.TemporaryDirectory() as folder:
        is_good, report, content = (
            _profile(options, folder) if options.name in PROFILES else _experiment(options, folder)
        )
    sys.stdout.write(report)
    if options.json:
        options.json.write_text(content, encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(report, encoding="utf-8")
    return int(not is_good)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m tests.load",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add(
        "name",
        choices=[*PROFILES, *EXPERIMENTS, "replay"],
        metavar="NAME",
        help="a run or an experiment, as listed below",
    )
    add("server_flags", nargs="*", metavar="FLAG", help="flags for the server, after --")
    add("--seed", type=int, default=1, help="makes all choices; the same seed sends the same requests (1)")
    add("--scale", type=float, default=1.0, help="length of an experiment's measurements, 1 for the real ones (1)")
    add(
        "--compute",
        type=float,
        default=2.0,
        metavar="MILLISECONDS",
        help="of each call in overload and isolation (2); a refusal costs the server about half a millisecond",
    )
    add(
        "--seconds",
        type=float,
        help="of a run: after so many of faults no more are begun; by default as many as it has",
    )
    add("--recovery-limit", type=float, default=1.0, metavar="SECONDS", help="after a fault, until all is well (1)")
    add("--source", choices=SOURCES, default=SOURCES[0], metavar="NAME", help="of a replay: who sent it (raw)")
    add("--arrival", type=int, default=0, metavar="NUMBER", help="of a replay: which of what he sent (0)")
    add("--json", type=Path, metavar="FILE", help="where to write the report for programs")
    add("--markdown", type=Path, metavar="FILE", help="where to write the report for people")
    return made


def _profile(options: argparse.Namespace, folder: str) -> tuple[bool, str, str]:
    profile = PROFILES[options.name]
    if options.seconds is not None:
        profile = replace(profile, most_seconds=options.seconds)
    campaign = Campaign(profile, options.seed, Path(folder), options.server_flags, tell)
    verdict = Verdict(asyncio.run(campaign.run()), recovery_limit_seconds=options.recovery_limit)
    return verdict.is_good, text_report(verdict), json_report(verdict)


def _experiment(options: argparse.Namespace, folder: str) -> tuple[bool, str, str]:
    laboratory = Laboratory(Path(folder), options.server_flags, options.seed, options.scale, options.compute, tell)
    began = time.monotonic()
    figures = asyncio.run(_figures(options, laboratory))
    is_good = all(figure.met is not False for figure in figures)
    report = figures_report(options.name, figures, time.monotonic() - began)
    return is_good, report, json_of_figures(options.name, figures)


async def _figures(options: argparse.Namespace, laboratory: Laboratory) -> list[Figure]:
    if options.name == "replay":
        return await replayed(laboratory, options.source, options.arrival, _REPLAYS)
    return await EXPERIMENTS[options.name](laboratory)


def tell(line: str) -> None:
    """Show a line of progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
