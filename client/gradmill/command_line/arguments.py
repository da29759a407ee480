"""What the command understands, and the help that teaches it."""

from __future__ import annotations

import argparse

from gradmill.command_line.access import add_access_arguments
from gradmill.command_line.evaluate import evaluate
from gradmill.command_line.explain import explain
from gradmill.command_line.functions import list_functions
from gradmill.command_line.token import make_token
from gradmill.command_line.wanted import CHOICES
from gradmill.version import __version__

_EPILOG = """\
examples:
  gradmill eval '3*(x1**2 + x2*x3)' --at x1=2 --at x2=3 --at x3=4
  gradmill explain '3*(x1**2 + x2*x3)' --at x1=2 --at x2=3 --at x3=4
  gradmill eval 'exp(-r*t)*s' --points points.csv > gradients.csv
  gradmill functions cdf
  gradmill serve --port 50051
  gradmill eval 'x*y' --at x=2 --at y=3 --server 127.0.0.1:50051
"""

_EVAL_EPILOG = """\
examples:
  gradmill eval '3*(x1**2 + x2*x3)' --at x1=2 --at x2=3 --at x3=4
  gradmill eval 'd = x - y; return d, d**2' --at x=1 --at y=3 --json
  gradmill eval 'x*exp(y)' --points points.csv --output-file gradients.csv
  gradmill eval 'x**2*y' --at x=2 --at y=3 --want gradient,hessian
  gradmill eval 'x**2*y' --at x=2 --at y=3 --want jvp --direction x=1 --direction y=-1
  gradmill eval --at x=3 -- '-x**2'        a formula that begins with a minus sign

A CSV file of points has the inputs' names as its first line. What comes out has a column for each output and a column
d/dNAME for each input (d(OUTPUT)/d(NAME) with several outputs), d2/d(NAME)d(NAME) for second derivatives; every number
reads back to the same 64 bits.

With --json one object is printed. Numbers that are not finite are the strings "NaN", "Infinity" and "-Infinity".

Without --server the formula is evaluated in this process, which needs: pip install 'gradmill[server]'
"""

_FORMULA_HELP = "the function, such as '3*x**2'; `gradmill functions` lists what it may call"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command; each subcommand's function is in ``run``."""
    top = argparse.ArgumentParser(
        prog="gradmill",
        description="Exact values and gradients of functions written as formulas.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"gradmill {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_eval(commands)
    _add_explain(commands)
    commands.add_parser("serve", help="run a server; `gradmill serve --help` lists its settings", add_help=False)
    _add_functions(commands)
    _add_token(commands)
    return top


def _add_eval(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "eval",
        help="value and derivatives at one point or at many",
        description="Evaluate a formula and derivatives of it at one point (--at) or at many (--points).",
        epilog=_EVAL_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_formula_and_point(command)
    command.add_argument("--points", metavar="FILE.csv", help="points, one a line; - reads standard input")
    command.add_argument("--ignore-extra", action="store_true", help="skip columns of the file that are no inputs")
    command.add_argument(
        "--want",
        metavar="KIND,...",
        help=f"derivatives to show beside the value: {', '.join(CHOICES)} (default: gradient)",
    )
    command.add_argument(
        "--direction",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="for jvp and hvp: how far an input moves, 0 when left out; once for each input",
    )
    command.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="what to compute in (default: float64)"
    )
    command.add_argument("--value-only", action="store_true", help="show no derivative")
    command.add_argument("--output-file", metavar="FILE", help="write there instead of to standard output")
    _add_common(command)
    command.set_defaults(run=evaluate)


def _add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "explain",
        help="the forward and the backward pass at one point, node by node",
        description="Show how a value and its gradient come about: each node's value, local partials and adjoint.",
    )
    _add_formula_and_point(command)
    command.add_argument("--output", metavar="NAME", help="the output to explain, when there are several")
    _add_common(command)
    command.set_defaults(run=explain)


def _add_functions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "functions",
        help="what a formula may call, with the derivative by convention where none exists",
        description="List the operations by name, with their derivatives by convention where none exists.",
    )
    command.add_argument("filter", nargs="?", default="", help="only those with this in their name or description")
    _add_common(command, what="list what that server knows instead of what this package knows")
    command.set_defaults(run=list_functions)


def _add_token(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "token",
        help="make a token for a caller, and the line for the server's file of tokens",
        description=(
            "Make a bearer token. The token goes to the caller and is kept nowhere; the line goes into the server's"
            " --token-file, which holds no secret: the caller's name, the token's SHA-256, and when it expires."
        ),
    )
    command.add_argument("name", metavar="NAME", help="the caller's name")
    command.add_argument("--expires", metavar="DATE", help="when it ends, such as 2030-01-31, in UTC (default: never)")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=make_token)


def _add_formula_and_point(command: argparse.ArgumentParser) -> None:
    command.add_argument("formula", metavar="FORMULA", help=_FORMULA_HELP)
    command.add_argument(
        "--at", metavar="NAME=VALUE", action="append", default=[], help="an input's value; once for each input"
    )


def _add_common(command: argparse.ArgumentParser, what: str = "ask that server instead of this process") -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument("--server", metavar="HOST:PORT", help=what)
    command.add_argument(
        "--timeout", metavar="SECONDS", type=float, help="time allowed (60 s for each message when not given)"
    )
    add_access_arguments(command)
