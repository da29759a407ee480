"""The generated operation functions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gradmill as gm
import pytest
from gradmill import functions
from gradmill.descriptions import OperationInfo
from gradmill.graph import Operation

from tests import REPOSITORY

ELEMENT_WISE = [row for row in functions.CATALOGUE if row.name in functions.__all__]
"""The operations whose functions are generated; those on whole arrays have tests of their own."""

GENERATOR = REPOSITORY / "proto" / "generate_functions.py"


def run_generator(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the generator and return what it printed."""
    return subprocess.run([sys.executable, str(GENERATOR), *arguments], check=False, capture_output=True, text=True)


def test_the_committed_functions_are_those_of_the_table() -> None:
    """The client offers exactly the operations that the server knows."""
    finished = run_generator("--check")
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_a_change_by_hand_is_found_and_undone(tmp_path: Path) -> None:
    """A stale or edited file is shown as a difference, and renewed on request."""
    copy = tmp_path / "functions.py"
    copy.write_text(Path(functions.__file__).read_text("utf-8") + "# by hand\n", "utf-8")
    found = run_generator("--check", "--destination", str(copy))
    assert found.returncode == 1
    assert "-# by hand" in found.stdout
    assert run_generator("--destination", str(copy)).returncode == 0
    assert copy.read_text("utf-8") == Path(functions.__file__).read_text("utf-8")


@pytest.mark.parametrize("operation", ELEMENT_WISE, ids=lambda row: row.name)
def test_each_function_and_alias_traces_its_operation(operation: OperationInfo) -> None:
    """Every operation can be traced under each of its names, its operands in the order written."""
    operands = gm.inputs([f"x{position}" for position in range(operation.arity)])
    for name in (operation.name, *operation.aliases):
        traced = getattr(gm, name)(*operands).as_function()
        assert traced.graph.values == (Operation(operation.name, tuple(range(operation.arity))),)


@pytest.mark.parametrize("operation", ELEMENT_WISE, ids=lambda row: row.name)
def test_a_function_of_plain_numbers_is_refused(operation: OperationInfo) -> None:
    """Applying a traced function to numbers alone says where to go instead of computing something else."""
    with pytest.raises(TypeError, match="no operand is traced; use math"):
        getattr(gm, operation.name)(*[1.0] * operation.arity)


def test_the_catalogue_lists_operations_on_arrays_too() -> None:
    """Each says how a formula writes it, the shape of its result, and the parameters of its nodes in a graph."""
    (row,) = [row for row in functions.CATALOGUE if row.name == "sum"]
    assert row.signature == "sum(x, axis=None, keepdims=False)"
    assert row.result_shape == "that of x without the axes, which keepdims keeps with extent 1"
    assert row.parameters == ("axes: a list of whole numbers", "keepdims: a whole number, optional")
    assert all(row.summary and row.result_shape for row in functions.CATALOGUE)


def test_every_public_operation_has_a_function_of_its_name() -> None:
    """What the table lists can be traced, save what only graphs have: slices, and the nodes of loops and calls."""
    assert {row.name for row in functions.CATALOGUE if not hasattr(gm, row.name)} == {"slice", "call"}
