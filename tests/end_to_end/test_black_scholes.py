"""A day of options: 100,000 rows from a file, priced with all five sensitivities by a real server process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gradmill
import numpy as np
import pytest

from tests.end_to_end.closed_form import FORMULA, closed_form, condition_numbers, exact
from tests.end_to_end.option_rows import COLUMNS, write_csv
from tests.end_to_end.server_process import ServerProcess

ROWS = 100_000
WELL_CONDITIONED = 2_000.0
"""Up to here the formula as written may lose 1e-12: half a unit of rounding, amplified, in a handful of places."""


@pytest.fixture(scope="module")
def options_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the CSV that the seeded script makes."""
    path = tmp_path_factory.mktemp("options") / "options.csv"
    with path.open("w", encoding="utf-8") as file:
        write_csv(ROWS, file)
    return path


def test_all_sensitivities_agree_with_the_closed_form(server: ServerProcess, options_file: Path) -> None:
    """Where the formula is well conditioned, all five derivatives agree with the closed form to 1e-12."""
    rows = np.loadtxt(options_file, delimiter=",", skiprows=1)
    with gradmill.connect(server.address) as client:
        result = client.value_and_gradient(gradmill.formula(FORMULA, inputs=COLUMNS), rows)
    expected = closed_form(rows)
    condition = condition_numbers(rows)
    error = np.abs(result.gradient - expected.gradient) / np.abs(expected.gradient)
    well_conditioned = condition < WELL_CONDITIONED
    assert result.gradient.shape == (ROWS, 5)
    assert well_conditioned.mean() > 0.95
    assert error[well_conditioned].max() < 1e-12
    assert (error / condition).max() < 1e-15
    priced = expected.price > 0.01 * rows[:, 0]
    np.testing.assert_allclose(result.values[priced], expected.price[priced], rtol=1e-12)
    assert not result.point_flags.any()


def test_the_closed_form_is_itself_right(options_file: Path) -> None:
    """The closed form by the C library agrees with 40 digits, so it may judge."""
    rows = np.loadtxt(options_file, delimiter=",", skiprows=1, max_rows=200)
    fast, condition = closed_form(rows), condition_numbers(rows)
    for index, row in enumerate(rows.tolist()):
        error = [
            abs(float(have / want - 1)) for have, want in zip(fast.gradient[index], exact(row).gradient, strict=True)
        ]
        assert (np.array(error) < 1e-15 * condition[index]).all()


def test_the_command_prices_the_file(server: ServerProcess, options_file: Path) -> None:
    """`gradmill eval --points FILE --server` writes the same numbers, to the last bit, as the library returns."""
    command = Path(sys.executable).with_name("gradmill")
    arguments = ["eval", FORMULA, "--points", str(options_file), "--server", server.address]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=300, check=True)
    header, *lines = done.stdout.splitlines()
    names = header.split(",")
    columns = [names.index(name) for name in ("price", *(f"d/d{name}" for name in COLUMNS))]
    assert len(lines) == ROWS
    printed = np.loadtxt(lines, delimiter=",", usecols=columns)
    rows = np.loadtxt(options_file, delimiter=",", skiprows=1)
    with gradmill.connect(server.address) as client:
        result = client.value_and_gradient(gradmill.formula(FORMULA, inputs=COLUMNS), rows)
    np.testing.assert_array_equal(printed[:, 0], result.values)
    np.testing.assert_array_equal(printed[:, 1:], result.gradient)
