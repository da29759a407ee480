"""The command line: ``python -m tests.benchmarks.serving``."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.report import environment
from tests.benchmarks.serving import batch, beside_peers, echo
from tests.benchmarks.serving.report import PACKAGES, Run, json_report, text_report
from tests.benchmarks.serving.sizes import FULL, QUICK, Sizes

SECTIONS = ("echo", "peers", "batch")
_ENDED = 128 + signal.SIGTERM

_DESCRIPTION = """\
Time the service beside a bare echo on the same transport, beside other services that give gradients, and with one
big batch, in interleaved rounds, and say which requirements are met.
"""

_EPILOG = """\
sections:
  echo    small calls and streams beside a grpc.aio server that returns what it gets; the SDK with 64 callers; p99
  peers   1, 8 and 64 callers beside UM-Bridge, pytensor-federated and Tesseract, each through its own client
  batch   1,000,000 points of 10 inputs beside an echo's stream of as many bytes, and the server's memory

examples:
  python -m tests.benchmarks.serving                      everything, about five minutes
  python -m tests.benchmarks.serving echo batch --quick   two sections, under a minute
  python -m tests.benchmarks.serving peers --output build/serving

The peers are installed from PyPI once, by their versions in tests/benchmarks/serving/peers/requirements.txt, into an
environment of their own: %(folder)s

exit status:
  0  every requirement that was measured is met
  1  one is missed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print its report, and return the exit status."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED))  # so that servers are ended, too
    run = measured(options.sections or SECTIONS, sizes(options), options.peers_folder)
    report = text_report(run)
    sys.stdout.write(f"\n{report}")
    if options.output:
        _write(options.output, run, report)
    return int(any(line.met is False for line in run.lines))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    folder = beside_peers.default_folder()
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.serving",
        description=_DESCRIPTION,
        epilog=_EPILOG % {"folder": folder},
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add(
        "sections",
        nargs="*",
        metavar="SECTION",
        choices=(*SECTIONS, []),
        help="of echo, peers and batch; all unless said",
    )
    add("--quick", action="store_true", help="fewer and shorter rounds, and a batch of 200,000 points")
    add("--rounds", type=int, help=f"rounds of each load and caller ({FULL.rounds}; {QUICK.rounds} with --quick)")
    add("--window", type=float, metavar="SECONDS", help="how long one of them is measured in a round")
    add("--peers-folder", type=Path, default=folder, metavar="FOLDER", help="where the peers are installed")
    add("--output", type=Path, metavar="FOLDER", help="where to write results.json, table.md, plot.svg and plot.png")
    return made


def sizes(options: argparse.Namespace) -> Sizes:
    """Return how long to measure."""
    chosen = QUICK if options.quick else FULL
    rounds, window_s = options.rounds or chosen.rounds, options.window or chosen.window_s
    return dataclasses.replace(chosen, rounds=rounds, window_s=window_s)


def measured(sections: Sequence[str], chosen: Sizes, peers_folder: Path) -> Run:
    """Measure the sections, one after the other, and look at what is required of each."""
    run = Run(environment(PACKAGES) | {"processors": str(len(os.sched_getaffinity(0)))})
    if "echo" in sections:
        run.echo = echo.measure_echo(chosen)
        run.lines += echo.requirements(run.echo)
    if "peers" in sections:
        try:
            run.peers = beside_peers.measure_peers(chosen, peers_folder)
        except subprocess.CalledProcessError as problem:
            sys.stderr.write(f"the peers cannot be installed: {problem}\n")
        run.lines += beside_peers.requirements(run.peers or {}, chosen.callers)
    if "batch" in sections:
        run.batch = batch.measure_batch(chosen)
        run.lines += batch.requirements(run.batch)
    return run


def _write(folder: Path, run: Run, report: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(report, encoding="utf-8")
    (folder / "results.json").write_text(json_report(run), encoding="utf-8")
    try:
        from tests.benchmarks.serving.plot import draw  # noqa: PLC0415 - matplotlib is an extra, and only for this
    except ImportError:
        sys.stderr.write("no plot without matplotlib: pip install 'gradmill[benchmark]'\n")
    else:
        draw(run, folder)


if __name__ == "__main__":
    raise SystemExit(main())
