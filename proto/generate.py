"""Regenerates the Python messages of the contract, or verifies that the committed ones are up to date.

The generator is pinned: code made by grpcio-tools 1.76.0 loads on protobuf 6.31.1 and later and on grpcio 1.76 and
later, whereas code made by a newer generator refuses older runtimes.
"""

from __future__ import annotations

import argparse
import difflib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

GENERATOR = "grpcio-tools"
GENERATOR_VERSION = "1.76.0"
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")

PROTO = Path(__file__).resolve().parent
CLIENT = PROTO.parent / "client"
PACKAGE = Path("gradmill", "v1")

EPILOG = f"""\
Files written, for each proto/gradmill/v1/NAME.proto:
  client/gradmill/v1/NAME_pb2.py        the messages
  client/gradmill/v1/NAME_pb2.pyi       their types
  client/gradmill/v1/NAME_pb2_grpc.py   the service's stubs

Needs {GENERATOR} {GENERATOR_VERSION}, part of the "test" extra: pip install '.[test]'

  python proto/generate.py              after every change of a .proto file; commit the result
  python proto/generate.py --check      fails, showing the difference, when that was forgotten
"""


class GenerationError(Exception):
    """The generator is missing, has another version, or refused the contract."""


def require_generator() -> None:
    """Raise GenerationError unless the pinned generator is installed in this environment."""
    try:
        found = metadata.version(GENERATOR)
    except metadata.PackageNotFoundError:
        found = "none"
    if found != GENERATOR_VERSION:
        message = f"need {GENERATOR} {GENERATOR_VERSION}, found {found}: pip install '{GENERATOR}=={GENERATOR_VERSION}'"
        raise GenerationError(message)


def generate(destination: Path) -> None:
    """Write the generated files below ``destination``; raises GenerationError when the contract does not compile."""
    sources = sorted(str(path.relative_to(PROTO)) for path in (PROTO / PACKAGE).glob("*.proto"))
    outputs = [f"--{kind}_out={destination}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}", *outputs, *sources]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if finished.returncode != 0:
        message = f"the generator failed:\n{finished.stderr}"
        raise GenerationError(message)


def generated_files(folder: Path) -> dict[str, str]:
    """Return the text of every generated file in the package's folder, by file name."""
    found = (path for path in sorted((folder / PACKAGE).iterdir()) if path.name.endswith(SUFFIXES))
    return {path.name: path.read_text(encoding="utf-8") for path in found}


def differences(committed: Mapping[str, str], fresh: Mapping[str, str]) -> str:
    """Return a unified diff from the committed files to the fresh ones; empty when they are the same."""
    pieces: list[str] = []
    for name in sorted(committed.keys() | fresh.keys()):
        before = committed.get(name, "").splitlines(keepends=True)
        after = fresh.get(name, "").splitlines(keepends=True)
        pieces.extend(difflib.unified_diff(before, after, f"committed/{name}", f"generated/{name}"))
    return "".join(pieces)


def install(fresh: Path, destination: Path) -> None:
    """Copy the fresh files into place, and remove those whose .proto is gone."""
    names = generated_files(fresh)
    for name in generated_files(destination).keys() - names.keys():
        (destination / PACKAGE / name).unlink()
    for name in names:
        shutil.copyfile(fresh / PACKAGE / name, destination / PACKAGE / name)


def run(client: Path, *, check: bool) -> int:
    """Regenerate the code below ``client``, or check it; return the exit status and say what was found."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        found = differences(generated_files(client), generated_files(fresh))
        if not found:
            print("generated code is up to date")
            return 0
        if check:
            print(found, end="")
            print("generated code is out of date: run `python proto/generate.py` and commit the result")
            return 1
        install(fresh, client)
    print(f"generated code renewed in {client / PACKAGE}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run; returns 0, 1 (out of date) or 2 (cannot generate)."""
    parser = argparse.ArgumentParser(
        prog="generate.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when the files are out of date")
    parser.add_argument("--client", type=Path, default=CLIENT, help="the folder that holds gradmill/v1 (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        require_generator()
        return run(options.client, check=options.check)
    except GenerationError as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
