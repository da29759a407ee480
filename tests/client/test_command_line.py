"""The `gradmill` command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import gradmill as gm
import grpc
import numpy as np
import pytest
from gradmill.command_line import main
from gradmill.extras import SERVE_COMMAND
from gradmill.functions import CATALOGUE

from tests import REPOSITORY
from tests.client.fakes import FakeService, raw_handlers

SEED = "3*(x1**2 + x2*x3)"
AT_SEED = ["--at", "x1=2", "--at", "x2=3", "--at", "x3=4"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(str(REPOSITORY / part) for part in ("client", "server"))}
COMMAND = [sys.executable, "-c", "import sys; from gradmill.command_line import main; sys.exit(main())"]


@dataclass(frozen=True)
class Output:
    """What a run of the command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


Run = Callable[..., Output]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs the command in this process."""

    def call(*arguments: str) -> Output:
        try:
            status = main(arguments)
        except SystemExit as end:
            status = int(str(end.code))
        captured = capsys.readouterr()
        return Output(status, captured.out, captured.err)

    return call


@pytest.fixture
def address() -> Iterator[str]:
    """Return the address of a server that knows one function, a + 10*b."""
    fake = FakeService()
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((raw_handlers(lambda method, body, _context: fake.answer(method, body)),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def csv_file(folder: Path, text: str) -> str:
    """Write a CSV file and return its path."""
    path = folder / "points.csv"
    path.write_text(text, "utf-8")
    return str(path)


def test_eval_prints_value_and_gradient(run: Run) -> None:
    """One point gives the value, the gradient, and what it is by."""
    output = run("eval", SEED, *AT_SEED)
    assert output == Output(0, "value     48\ngradient  (12, 12, 9)  by (x1, x2, x3)\n", "")


def test_eval_asks_a_server(run: Run, address: str) -> None:
    """With --server the same command asks a server over the network."""
    output = run("eval", "a + 10*b", "--at", "a=1", "--at", "b=2", "--server", address)
    assert output == Output(0, "value     21\ngradient  (1, 10)  by (a, b)\n", "")


def test_eval_prints_json(run: Run) -> None:
    """With --json one object has the point, the value and the gradient by name."""
    document = json.loads(run("eval", SEED, *AT_SEED, "--json").out)
    assert document["inputs"] == {"x1": 2.0, "x2": 3.0, "x3": 4.0}
    assert document["outputs"] == {"value": {"value": 48.0, "gradient": {"x1": 12.0, "x2": 12.0, "x3": 9.0}}}
    assert len(document["digest"]) == 64


def test_eval_prints_several_outputs(run: Run) -> None:
    """Each output has its value and its gradient under its own name."""
    output = run("eval", "total = x + y; product = x*y\nreturn total, product", "--at", "x=2", "--at", "y=0.5")
    assert output.out == ("total     2.5\ngradient  (1, 1)  by (x, y)\n\nproduct   1\ngradient  (0.5, 2)  by (x, y)\n")


def test_eval_leaves_the_gradient_out(run: Run) -> None:
    """With --value-only nothing is differentiated."""
    assert run("eval", SEED, *AT_SEED, "--value-only").out == "value     48\n"
    assert "gradient" not in json.loads(run("eval", SEED, *AT_SEED, "--value-only", "--json").out)["outputs"]["value"]


def test_numbers_that_are_not_finite_are_shown_and_noted(run: Run) -> None:
    """Infinities are results, in JSON as strings, with a note apart from them."""
    output = run("eval", "1/x", "--at", "x=0")
    assert output.out == "value     inf\ngradient  (-inf)  by (x)\n"
    assert (output.status, output.err) == (0, "gradmill: note: a value or a derivative is not finite here\n")
    document = json.loads(run("eval", "1/x", "--at", "x=0", "--json").out)
    assert document["outputs"]["value"] == {"value": "Infinity", "gradient": {"x": "-Infinity"}}


def test_eval_reads_points_from_a_file(run: Run, tmp_path: Path) -> None:
    """A CSV file gives a CSV file whose numbers read back to the same bits, columns in any order."""
    points = csv_file(tmp_path, "x2, x1\n3,0.1\n0.2,7\n")
    output = run("eval", "x1*exp(x2)", "--points", points)
    lines = output.out.splitlines()
    assert lines[0] == "value,d/dx1,d/dx2"
    with gm.local() as client:
        expected = client.gradient("x1*exp(x2)", [[0.1, 3.0], [7.0, 0.2]])
    found = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    assert np.array_equal(found[:, 0], expected.values)
    assert np.array_equal(found[:, 1:], expected.gradient)


def test_eval_reads_points_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minus sign in place of the file reads standard input, blank lines left out."""
    monkeypatch.setattr("sys.stdin", iter(["a,b\n", "1,2\n", "\n", "3,4\n"]))
    output = run("eval", "s = a*b; d = a - b; return s, d", "--points", "-")
    assert output.out == (
        "s,d(s)/d(a),d(s)/d(b),d,d(d)/d(a),d(d)/d(b)\n2.0,2.0,1.0,-1.0,1.0,-1.0\n12.0,4.0,3.0,-1.0,1.0,-1.0\n"
    )


def test_eval_prints_many_points_as_json(run: Run, tmp_path: Path) -> None:
    """With --json the columns are arrays, points that are not finite marked."""
    output = run("eval", "1/x", "--points", csv_file(tmp_path, "x\n2\n0\n"), "--json")
    document = json.loads(output.out)
    assert document["outputs"] == {"value": {"value": [0.5, "Infinity"], "gradient": {"x": [-0.25, "-Infinity"]}}}
    assert document["point_flags"] == [0, 3]
    assert "at 1 of 2 points" in output.err


def test_a_file_without_rows_gives_its_header(run: Run, tmp_path: Path) -> None:
    """No points are no mistake."""
    assert run("eval", "x*y", "--points", csv_file(tmp_path, "x,y\n")).out == "value,d/dx,d/dy\n"


def test_a_long_file_is_worked_through_in_blocks(run: Run, tmp_path: Path) -> None:
    """A file longer than a block comes out complete and in order."""
    rows = 70_000
    points = csv_file(tmp_path, "x\n" + "".join(f"{row}\n" for row in range(rows)))
    destination = tmp_path / "out.csv"
    assert run("eval", "2*x", "--points", points, "--value-only", "--output-file", str(destination)).status == 0
    values = [float(line) for line in destination.read_text("utf-8").splitlines()[1:]]
    assert values == [2.0 * row for row in range(rows)]


def test_extra_columns_are_refused_unless_told_otherwise(run: Run, tmp_path: Path) -> None:
    """A column that is no input is a mistake, until it is said that it is none."""
    points = csv_file(tmp_path, "name,x\nfirst,2\n")
    output = run("eval", "x**2", "--points", points)
    assert output.status == 1
    assert "name is no input of the formula; its inputs: x" in output.err
    assert "--ignore-extra" in output.err
    assert run("eval", "x**2", "--points", points, "--ignore-extra").out == "value,d/dx\n4.0,4.0\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty; the first line must name the inputs"),
        ("x\n1\n", "no column for input y; columns: x"),
        ("x,y,x\n1,2,3\n", "column 'x' occurs twice"),
        ("x,y\n1,2\n1,zwei\n", "line 3, column y: 'zwei' is not a number"),
        ("x,y\n1\n", "line 2: 1 cells, but 2 columns"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_line(run: Run, tmp_path: Path, text: str, words: str) -> None:
    """A mistake in a file names the file, the line and the column, and leaves no half-written result."""
    destination = tmp_path / "out.csv"
    output = run("eval", "x*y", "--points", csv_file(tmp_path, text), "--output-file", str(destination))
    assert output.status == 1
    assert output.err.startswith("gradmill: error: ")
    assert "points.csv" in output.err
    assert words in output.err
    assert list(tmp_path.iterdir()) == [tmp_path / "points.csv"]


def test_a_device_is_written_to_and_not_replaced(run: Run) -> None:
    """Sending the output to /dev/null leaves the device what it is."""
    assert run("eval", "2*x", "--at", "x=1", "--output-file", os.devnull).status == 0
    assert Path(os.devnull).is_char_device()


def test_a_formula_without_inputs_has_a_value(run: Run) -> None:
    """Plain arithmetic needs no point."""
    assert run("eval", "2*3", "--value-only").out == "value     6\n"


def test_files_that_are_not_there_are_said(run: Run, tmp_path: Path) -> None:
    """A file that cannot be read or written is named with the reason."""
    output = run("eval", "x", "--points", str(tmp_path / "none.csv"))
    assert (output.status, "none.csv: No such file or directory" in output.err) == (1, True)
    output = run("eval", "x", "--at", "x=1", "--output-file", str(tmp_path / "none" / "out"))
    assert (output.status, "No such file or directory" in output.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["eval", "x", "--at", "x"], "write NAME=VALUE"),
        (["eval", "x", "--at", "x=a"], "'a' is not a number"),
        (["eval", "x", "--at", "x=1", "--at", "x=2"], "x is given twice"),
        (["eval", "x", "--at", "x=1", "--points", "a.csv"], "not both"),
        (["eval", "x", "--at", "x=1", "--timeout", "0"], "greater than zero"),
        (["eval", "x", "--at", "x=1", "--want", "slope"], "--want: 'slope' is not one of gradient, jacobian, hessian"),
        (["eval", "x", "--at", "x=1", "--want", "hessian,hessian"], "--want: 'hessian' is named twice"),
        (["eval", "x", "--at", "x=1", "--want", "hessian", "--value-only"], "give --want or --value-only, not both"),
        (["eval", "x", "--at", "x=1", "--want", "jvp"], "--want jvp needs --direction"),
        (["eval", "x", "--at", "x=1", "--direction", "x=1"], "--direction is for --want jvp or hvp"),
        (["eval", "x", "--at", "x=1", "--want", "jvp", "--direction", "x"], "--direction x: write NAME=VALUE"),
        (["eval"], "FORMULA"),
        (["nothing"], "invalid choice"),
        ([], "COMMAND"),
    ],
)
def test_wrong_usage_exits_with_two(run: Run, arguments: list[str], words: str) -> None:
    """A mistake on the command line is told apart from a refusal by the exit status."""
    output = run(*arguments)
    assert (output.status, output.out) == (2, "")
    assert words in output.err


def test_a_mistake_in_a_formula_is_shown_with_a_caret(run: Run) -> None:
    """A refused formula shows line, column and a caret under the place, and exits with one."""
    output = run("eval", "3*(x1 + *x2)", "--at", "x1=1")
    assert (output.status, output.out) == (1, "")
    assert "line 1, column 9" in output.err
    lines = output.err.splitlines()
    caret = next(line for line in lines if line.strip() == "^")
    assert lines[lines.index(caret) - 1][caret.index("^")] == "*"


def test_inputs_that_do_not_fit_are_named(run: Run) -> None:
    """A value that is missing, and one for no input, are both refused with the inputs there are."""
    assert "no value for input 'y'; the function's inputs: x, y" in run("eval", "x*y", "--at", "x=1").err
    assert "the function has no input 'z'; its inputs: x" in run("eval", "x", "--at", "x=1", "--at", "z=2").err


def test_a_server_that_is_not_there_is_named(run: Run) -> None:
    """An unreachable server is one line and an advice, no traceback."""
    output = run("eval", "x", "--at", "x=1", "--server", "127.0.0.1:9", "--timeout", "3")
    assert output.status == 1
    assert "no server answers at 127.0.0.1:9" in output.err


def test_explain_shows_both_passes(run: Run) -> None:
    """Every node has its value, its local partials and its adjoint."""
    output = run("explain", SEED, *AT_SEED).out
    for words in ("x4 = 4", "x5 = 12", "x6 = 16", "x7 = 48", "∂x5/∂x3 = 3", "∂value/∂x1 = 12", "x1**2"):
        assert words in output


def test_explain_prints_json(run: Run) -> None:
    """The same as one object, for programs."""
    document = json.loads(run("explain", SEED, *AT_SEED, "--json").out)
    node = next(entry for entry in document["nodes"] if entry["label"] == "x5")
    assert node["value"] == 12.0
    assert node["local_partials"] == [{"argument": "x2", "partial": 4.0}, {"argument": "x3", "partial": 3.0}]
    assert node["adjoint"] == 3.0


def test_explain_takes_an_output(run: Run) -> None:
    """With several outputs one is chosen by name."""
    formula = "a = x*y; b = x - y; return a, b"
    output = run("explain", formula, "--at", "x=1", "--at", "y=2", "--output", "b")
    assert "forward pass of b" in output.out
    assert run("explain", formula, "--at", "x=1", "--at", "y=2").status == 1


def test_functions_lists_the_catalogue(run: Run) -> None:
    """Every operation is listed with its aliases and its derivative by convention, or those that match a word."""
    assert len(run("functions").out.splitlines()) == len(CATALOGUE)
    lines = run("functions", "CDF").out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["normal_cdf", "normal_ppf"]
    assert lines[0].startswith("normal_cdf, norm_cdf")
    assert run("functions", "zzz").status == 1
    document = json.loads(run("functions", "abs", "--json").out)
    assert next(entry for entry in document["operations"] if entry["name"] == "abs")["convention"] == "0 at 0"


def test_help_teaches_by_examples(run: Run) -> None:
    """Help shows lines that can be typed as they are."""
    assert "gradmill eval '3*(x1**2 + x2*x3)' --at x1=2" in run("--help").out
    assert "gradmill eval --at x=3 -- '-x**2'" in run("eval", "--help").out
    assert run("--version").out == f"gradmill {gm.__version__}\n"


def test_a_formula_may_begin_with_a_minus_sign(run: Run) -> None:
    """The way that the help shows works."""
    assert run("eval", "--at", "x=3", "--", "-x**2").out.startswith("value     -9\n")


def test_serve_hands_its_arguments_over(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`gradmill serve` is the server's own command, help included."""
    seen: list[list[str]] = []

    def serve_main(arguments: list[str]) -> int:
        seen.append(arguments)
        return 7

    monkeypatch.setitem(sys.modules, SERVE_COMMAND, SimpleNamespace(serve_main=serve_main))
    assert run("serve", "--help", "--port", "1").status == 7
    assert seen == [["--help", "--port", "1"]]


def test_a_reader_that_leaves_is_no_error() -> None:
    """`gradmill ... | head` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    finished = subprocess.run(
        [*COMMAND, "functions"], stdout=writing, stderr=subprocess.PIPE, check=False, env=ENVIRONMENT
    )
    os.close(writing)
    assert (finished.returncode, finished.stderr) == (141, b"")


def test_an_interrupt_ends_quietly() -> None:
    """Control-C while waiting for points exits with 130 and no traceback."""
    process = subprocess.Popen(
        [*COMMAND, "eval", "2*x", "--points", "-", "--value-only"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    # A whole block, so that its results show that the command waits for the next one.
    process.stdin.write(b"x\n" + b"1\n" * 40_000)
    process.stdin.flush()
    assert process.stdout.readline() == b"value\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, b"")


def test_a_terminal_without_the_letters_shows_something() -> None:
    """Output that a terminal cannot show becomes question marks, not a failure."""
    finished = subprocess.run(
        [*COMMAND, "explain", "x*y", "--at", "x=1", "--at", "y=2"],
        capture_output=True,
        check=False,
        env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert finished.returncode == 0
    assert b"?v1/?x = 2" in finished.stdout


def test_a_formula_without_inputs_has_a_value_at_each_row(run: Run, tmp_path: Path) -> None:
    """A constant is evaluated once for every row of a file whose columns it does not need."""
    output = run("eval", "3", "--points", csv_file(tmp_path, "x\n1\n2\n"), "--ignore-extra")
    assert (output.status, output.out) == (0, "value\n3.0\n3.0\n")


def test_a_formula_that_is_no_text_is_refused(run: Run) -> None:
    """Bytes that are no UTF-8, as a shell may pass them, are a mistake with a place and no traceback."""
    output = run("eval", "x + \udcff", "--at", "x=1")
    assert output.status == 1
    assert "character 5" in output.err


def test_an_empty_server_address_is_a_mistake(run: Run) -> None:
    """An address that a script left empty does not quietly evaluate elsewhere."""
    output = run("eval", "x", "--at", "x=1", "--server", "")
    assert output.status == 2
    assert "--server" in output.err


def test_standard_input_is_read_like_a_file() -> None:
    """A byte order mark and Windows line ends are no part of a name, also on standard input."""
    command = [str(Path(sys.executable).with_name("gradmill")), "eval", "x*y", "--points", "-"]
    done = subprocess.run(command, input=b"\xef\xbb\xbfx,y\r\n2,3\r\n", capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.decode()) == (0, "value,d/dx,d/dy\n6.0,3.0,2.0\n")


def test_eval_shows_the_kinds_that_are_wanted(run: Run) -> None:
    """Each kind has its lines: a matrix one for each row, a product its direction's."""
    at = ["--at", "x=2", "--at", "y=3"]
    output = run("eval", "x**2*y", *at, "--want", "gradient,hessian,hessian_diagonal")
    assert output.out == (
        "value             12\n"
        "gradient          (12, 4)  by (x, y)\n"
        "hessian           (6, 4)\n"
        "                  (4, 0)  by (x, y)\n"
        "hessian_diagonal  (6, 0)  by (x, y)\n"
    )
    output = run("eval", "x**2*y", *at, "--want", "jvp,hvp", "--direction", "x=1")
    assert output.out == "value     12\njvp       12\nhvp       (6, 4)  by (x, y)\n"
    document = json.loads(run("eval", "x**2*y", *at, "--want", "hessian", "--json").out)
    assert document["outputs"]["value"] == {
        "value": 12.0,
        "hessian": {"x": {"x": 6.0, "y": 4.0}, "y": {"x": 4.0, "y": 0.0}},
    }


def test_eval_shows_the_jacobian_of_an_array(run: Run, tmp_path: Path) -> None:
    """Each element of an output has a row, and in a file a column for each input."""
    output = run("eval", "[x*y, x - y, 2*x]", "--at", "x=2", "--at", "y=3", "--want", "jacobian")
    assert output.out == "value     [6, -1, 4]\njacobian  (3, 2)\n          (1, -1)\n          (2, 0)  by (x, y)\n"
    points = csv_file(tmp_path, "x,y\n2,3\n")
    output = run("eval", "[x*y, x - y]", "--points", points, "--want", "jacobian")
    assert output.out == (
        "value[0],value[1],d(value[0])/d(x),d(value[1])/d(x),d(value[0])/d(y),d(value[1])/d(y)\n"
        "6.0,-1.0,3.0,1.0,2.0,-1.0\n"
    )


def test_eval_writes_second_derivatives_as_columns(run: Run, tmp_path: Path) -> None:
    """A file of points gives a column for each second derivative and each product."""
    points = csv_file(tmp_path, "y,x\n3,2\n")
    arguments = ["--points", points, "--want", "hessian,jvp,hvp,hessian_diagonal", "--direction", "x=1"]
    output = run("eval", "x**2*y", *arguments)
    head = "value,d2/d(x)d(x),d2/d(x)d(y),d2/d(y)d(x),d2/d(y)d(y),jvp,hvp/d(x),hvp/d(y)"
    assert output.out == f"{head}\n12.0,6.0,4.0,4.0,0.0,12.0,6.0,4.0\n"
    document = json.loads(run("eval", "x**2*y", *arguments, "--json").out)
    assert document["outputs"]["value"]["hessian"] == {"x": {"x": [6.0], "y": [4.0]}, "y": {"x": [4.0], "y": [0.0]}}
    assert document["outputs"]["value"]["hvp"] == {"x": [6.0], "y": [4.0]}
    output = run("eval", "a = x*y; b = x - y; return a, b", "--points", points, "--want", "hessian_diagonal")
    assert output.out == "a,d2(a)/d(x)d(x),d2(a)/d(y)d(y),b,d2(b)/d(x)d(x),d2(b)/d(y)d(y)\n6.0,0.0,0.0,-1.0,0.0,0.0\n"


def test_a_direction_along_no_input_is_refused(run: Run, tmp_path: Path) -> None:
    """A direction names inputs, for one point as for many."""
    arguments = ["--want", "jvp", "--direction", "z=1"]
    for where in (["--at", "x=1"], ["--points", csv_file(tmp_path, "x\n2\n")]):
        assert "'z' is no input that is wanted; there are x" in run("eval", "x*x", *where, *arguments).err


def test_eval_computes_in_float32(run: Run) -> None:
    """With --dtype float32 value and gradient are those of single precision, and another type is refused."""
    narrow = run("eval", "x/3", "--at", "x=1", "--dtype", "float32", "--json")
    assert narrow.status == 0
    output = json.loads(narrow.out)["outputs"]["value"]
    assert output["value"] == float(np.float32(1) / np.float32(3))
    assert output["gradient"] == {"x": float(np.float32(1) / np.float32(3))}
    assert run("eval", "x/3", "--at", "x=1", "--json").out != narrow.out
    assert "invalid choice: 'float16'" in run("eval", "x", "--at", "x=1", "--dtype", "float16").err
    assert run("eval", "2", "--dtype", "float32").out.startswith("value")
