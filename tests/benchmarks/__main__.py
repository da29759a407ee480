"""The command line of the benchmark: ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from tests.benchmarks.acceptance import acceptance
from tests.benchmarks.endurance import endurance
from tests.benchmarks.measuring import Harness, Patience
from tests.benchmarks.models import MODELS
from tests.benchmarks.peers.table import PEERS
from tests.benchmarks.report import environment, json_report, text_report
from tests.benchmarks.results import Results

BATCHES = (1_000, 1, 16, 100_000)
"""In this order, because most requirements are about 1,000 points, and what takes long to compile is compiled once."""

_ENDED = 128 + signal.SIGTERM
QUICK_MODELS = ("seed", "black-scholes", "rosenbrock-10")
QUICK_BATCHES = (1_000, 1)

_DESCRIPTION = """\
Time gradmill's engine beside CasADi, JAX and PyTorch, on one core and in interleaved rounds, and say which requirements
are met. A library that is not installed is left out; `pip install 'gradmill[benchmark]'` installs all of them.
"""

_EPILOG = """\
examples:
  python -m tests.benchmarks                              everything, ten to fifteen minutes
  python -m tests.benchmarks --quick                      three models, two batches, under a minute
  python -m tests.benchmarks --models seed random-1000 --batches 1000 --peers gradmill jax
  python -m tests.benchmarks --output build/benchmark     also results.json, table.md, plot.svg and plot.png

exit status:
  0  every requirement that was measured is met
  1  one is missed, or a peer's answer was wrong
"""

# Read by the libraries when they are loaded, which is in processes started after this one has set it.
_ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print its report, and return the exit status."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED))  # so that workers are ended, too
    cores = sorted(os.sched_getaffinity(0))
    surroundings = environment()
    found = None if options.quick or options.no_endurance else endurance(cores, progress=_parts)
    os.sched_setaffinity(0, cores[-1:])
    os.environ.update(_ONE_THREAD)
    patience = Patience(rounds=options.rounds, compile_s=options.compile_limit)
    results, absent = measured(options, patience)
    lines = acceptance(results, found, compile_s=patience.compile_s)
    report = text_report(results, lines, surroundings | absent)
    sys.stdout.write(f"\n{report}")
    if options.output:
        _write(options.output, report, json_report(results, lines, found, surroundings | absent), results)
    return int(any(line.met is False for line in lines) or any(entry.is_wrong for entry in results))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--models", nargs="+", choices=list(MODELS), metavar="MODEL", help=f"of {', '.join(MODELS)}; all by default")
    add(
        "--batches",
        nargs="+",
        type=int,
        metavar="POINTS",
        help="sizes of a batch, in this order; by default 1000 1 16 100000",
    )
    add("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), metavar="PEER", help=f"of {', '.join(PEERS)}")
    add("--rounds", type=int, default=15, help="timed rounds of each peer (15); slow ones get fewer, but at least 3")
    add("--compile-limit", type=float, default=120.0, metavar="SECONDS", help="how long a first answer may take (120)")
    add("--quick", action="store_true", help="three models, two batches, no endurance")
    add("--no-endurance", action="store_true", help="leave out threads, memory and the chain of a million")
    add("--output", type=Path, metavar="FOLDER", help="where to write results.json, table.md, plot.svg and plot.png")
    return made


def measured(options: argparse.Namespace, patience: Patience) -> tuple[Results, dict[str, str]]:
    """Measure what the options ask for; return the results, and why some peers are absent."""
    models = options.models or (QUICK_MODELS if options.quick else tuple(MODELS))
    batches = options.batches or (QUICK_BATCHES if options.quick else BATCHES)
    harness = Harness(options.peers, patience)
    try:
        absent = harness.start()
        with tqdm([(model, batch) for model in models for batch in batches]) as cells:
            for model, batch in cells:
                cells.set_description(f"{model}, {batch:,} points")
                harness.measure(model, batch)
    finally:
        harness.stop()
    return harness.results, absent


def _parts(parts: Sequence[str]) -> Iterator[str]:
    with tqdm(parts) as shown:
        for part in shown:
            shown.set_description(part)
            yield part


def _write(folder: Path, report: str, everything: str, results: Results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(report, encoding="utf-8")
    (folder / "results.json").write_text(everything, encoding="utf-8")
    try:
        from tests.benchmarks.plot import draw  # noqa: PLC0415 - matplotlib is an extra, and only for this
    except ImportError:
        sys.stderr.write("no plot without matplotlib: pip install 'gradmill[benchmark]'\n")
    else:
        draw(results, folder)


if __name__ == "__main__":
    raise SystemExit(main())
