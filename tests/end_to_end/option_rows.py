"""Makes a CSV of European call options: `python tests/end_to_end/option_rows.py 100000 > options.csv`.

The rows are seeded, so that every run makes the same file. They are what a desk prices on a day: strikes from half to
twice the spot, two weeks to three years, volatilities from 8 to 80 percent, rates from -1 to 6 percent.
"""

from __future__ import annotations

import argparse
import sys
from typing import TextIO

import numpy as np

COLUMNS = ("spot", "strike", "maturity", "rate", "volatility")
SEED = 20260601


def option_rows(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return `count` options as a matrix [count, 5], its columns those of COLUMNS, years and annual rates."""
    random = np.random.default_rng(SEED)
    spot = random.uniform(20.0, 200.0, count)
    return np.column_stack(
        [
            spot,
            spot * np.exp(random.uniform(np.log(0.5), np.log(2.0), count)),
            random.uniform(2.0 / 52.0, 3.0, count),
            random.uniform(-0.01, 0.06, count),
            random.uniform(0.08, 0.8, count),
        ]
    )


def write_csv(count: int, file: TextIO) -> None:
    """Write the options with a header, every number in full precision."""
    file.write(",".join(COLUMNS) + "\n")
    file.writelines(",".join(map(repr, row)) + "\n" for row in option_rows(count).tolist())


def main() -> int:
    """Write as many rows as asked for to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=100_000, help="number of rows (default: %(default)s)")
    write_csv(parser.parse_args().count, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
