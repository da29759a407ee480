"""f = 3*(x1**2 + x2*x3) at (2, 3, 4), by every road there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gradmill
import numpy as np
import pytest
from gradmill.v1.graph_pb2 import Array, Graph, Input, Node, Output

from tests.end_to_end.server_process import ServerProcess

FORMULA = "3*(x1**2 + x2*x3)"
POINT = ("--at", "x1=2", "--at", "x2=3", "--at", "x3=4")


GRAPH = Graph(
    inputs=[Input(name="x1"), Input(name="x2"), Input(name="x3")],
    constants=[Array(values=[2.0]), Array(values=[3.0])],
    operation_names=["add", "multiply", "power"],
    nodes=[
        Node(operation=1, arguments=[1, 2]),
        Node(operation=2, arguments=[0, 3]),
        Node(operation=0, arguments=[6, 5]),
        Node(operation=1, arguments=[4, 7]),
    ],
    outputs=[Output(name="value", value=8)],
)


def run_command(*arguments: str) -> str:
    """Run `gradmill` as installed and return what it prints."""
    command = Path(sys.executable).with_name("gradmill")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("remote", [False, True], ids=["locally", "through a server"])
def test_eval_prints_value_and_gradient(server: ServerProcess, remote: bool) -> None:
    """`gradmill eval` prints 48 and (12, 12, 9)."""
    printed = run_command("eval", FORMULA, *POINT, *(("--server", server.address) if remote else ()))
    assert "48" in printed.split()
    assert "(12, 12, 9)" in printed


@pytest.mark.parametrize("remote", [False, True], ids=["locally", "through a server"])
def test_explain_shows_both_passes(server: ServerProcess, remote: bool) -> None:
    """`gradmill explain` shows x4 to x7, the local partials and the adjoints."""
    printed = run_command("explain", FORMULA, *POINT, *(("--server", server.address) if remote else ()))
    for expected in ("x4 = 4", "x5 = 12", "x6 = 16", "x7 = 48", "∂x5/∂x3 = 3", "∂x5/∂x2 = 4", "∂x4/∂x1 = 4"):
        assert expected in printed
    for adjoint in ("x1 = 12", "x2 = 12", "x3 = 9", "x4 = 3", "x5 = 3", "x6 = 3", "x7 = 1"):
        assert f"∂value/∂{adjoint}" in printed


def test_graph_formula_and_traced_python_are_one_function(server: ServerProcess) -> None:
    """The same function by graph, formula and traced Python has one digest and is compiled once."""
    x1, x2, x3 = gradmill.inputs("x1", "x2", "x3")
    traced = 3 * (x1**2 + x2 * x3)
    with gradmill.connect(server.address) as client:
        before = server.metric("gradmill_programs_compiled_total")
        results = [client.gradient(each, [[2.0, 3.0, 4.0]]) for each in (FORMULA, traced, GRAPH)]
        compiled = server.metric("gradmill_programs_compiled_total") - before
    assert len({result.digest for result in results}) == 1
    assert compiled <= 1
    for result in results:
        np.testing.assert_array_equal(result.values, [48.0])
        np.testing.assert_array_equal(result.gradient, [[12.0, 12.0, 9.0]])
