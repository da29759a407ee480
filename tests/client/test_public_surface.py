"""What `import gradmill` brings, and what it does not need."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import gradmill
from gradmill import arrays, functions

from tests import REPOSITORY

OWN_NAMES = {
    "AccessDeniedError", "AsyncClient", "Batching", "CancelledError", "Client", "ClientClosedError",
    "DeadlineExceededError", "ExplainedNode", "Explanation", "Expression", "Formula", "FunctionInfo", "FunctionLike",
    "GradmillError", "Input", "InvalidRequestError", "LimitError", "MissingExtraError", "NotFoundError",
    "OperationInfo", "OutputInfo", "Result", "RetryPolicy", "Reusable", "ServerError", "SparseMatrix", "TLS", "Timings",
    "TracedFunction", "TracingError", "UnavailableError", "UnsupportedError", "Violation", "__version__", "connect",
    "connect_async", "e", "fold", "formula", "inputs", "local", "local_async", "map", "outputs", "pi", "reusable",
    "scan",
}  # fmt: skip

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"gradmill_server", "lark", "prometheus_client", "grpc_health", "grpc_reflection"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run_blocked(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program where nothing of the server can be imported."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKER + program],
        check=False,
        capture_output=True,
        text=True,
        cwd=REPOSITORY / "client",
    )


def test_the_public_names_are_those_listed() -> None:
    """Nothing enters or leaves the public surface unnoticed."""
    visible = {
        name
        for name, value in vars(gradmill).items()
        if not isinstance(value, ModuleType) and (not name.startswith("_") or name == "__version__")
    } - {"annotations"}
    assert set(gradmill.__all__) == OWN_NAMES | set(functions.__all__) | set(arrays.__all__) == visible
    assert dir(gradmill) == sorted(gradmill.__all__)
    assert len(gradmill.__all__) == len(set(gradmill.__all__))


def test_every_public_function_and_class_is_documented() -> None:
    """Whoever asks for help on a public name gets it."""
    for name in gradmill.__all__:
        value = getattr(gradmill, name)
        if callable(value) and name != "FunctionLike":
            assert value.__doc__, name


def test_the_client_works_without_the_server() -> None:
    """A machine that only calls a service needs nothing of the server's packages."""
    program = (
        "import gradmill as gm, gradmill.command_line\n"
        "x, y = gm.inputs('x', 'y')\n"
        "print((gm.exp(x) * y).digest.hex())\n"
        "gm.connect('127.0.0.1:1').close()\n"
    )
    finished = run_blocked(program)
    assert finished.returncode == 0, finished.stderr
    x, y = gradmill.inputs("x", "y")
    assert finished.stdout.strip() == (gradmill.exp(x) * y).digest.hex()


def test_a_missing_server_is_answered_with_the_command_that_installs_it() -> None:
    """Whoever lacks the server is told exactly what to type."""
    program = "import gradmill as gm\ntry:\n    gm.local()\nexcept gm.MissingExtraError as error:\n    print(error)"
    finished = run_blocked(program)
    assert "pip install 'gradmill[server]'" in finished.stdout, finished.stderr


def test_the_command_line_says_so_too_without_a_traceback() -> None:
    """Whoever runs the command without the server is told exactly what to type."""
    program = "from gradmill.command_line import main\nsys.exit(main(['eval', 'x', '--at', 'x=1']))"
    finished = run_blocked(program)
    assert finished.returncode == 1
    assert "pip install 'gradmill[server]'" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_importing_is_cheap() -> None:
    """A program that traces functions loads neither gRPC nor a progress bar."""
    finished = run_blocked(
        "import gradmill\nprint([name for name in ('grpc', 'tqdm', 'argparse') if name in sys.modules])"
    )
    assert finished.stdout.strip() == "[]", finished.stderr
