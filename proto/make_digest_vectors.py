"""Writes proto/digest_vectors.json, or verifies that it is up to date.

Each vector is a function with its canonical form and digest, as the comment in gradmill/v1/graph.proto specifies them.
The functions are listed in tests/proto/digest_vector_functions.py; their bytes are made by the reference implementation
in tests/proto/canonical_reference.py.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import json_format

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # started as a script, Python looks in proto/ only

from tests.proto.canonical_reference import canonical_bytes, digest  # noqa: E402 - the path is set just above
from tests.proto.digest_vector_building import VectorFunction  # noqa: E402 - the path is set just above
from tests.proto.digest_vector_functions import FUNCTIONS  # noqa: E402 - the path is set just above

DEFAULT_FILE = ROOT / "proto" / "digest_vectors.json"
ABOUT = (
    "Functions with their canonical form and digest, as gradmill/v1/graph.proto specifies them. `graph` is a "
    "gradmill.v1.Graph in the JSON mapping of protobuf. `same_as` names an earlier vector that is the same function "
    "written otherwise; all others differ from one another. `formula`, where given, is a text that means the same "
    "function. `structural` marks those that show the canonical form only: a server need not accept them, as their "
    "operations, parameters, element types or shapes may be unknown to it."
)


def text_of_vectors() -> str:
    """Return the file's text."""
    document = {"about": ABOUT, "vectors": [_vector(function) for function in FUNCTIONS]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _vector(function: VectorFunction) -> dict[str, object]:
    vector: dict[str, object] = {"name": function.name, "why": function.why, "structural": function.structural}
    if function.same_as:
        vector["same_as"] = function.same_as
    if function.formula:
        vector["formula"] = function.formula
    vector["graph"] = json_format.MessageToDict(function.graph)
    vector["canonical"] = canonical_bytes(function.graph).hex()
    vector["digest"] = digest(function.graph).hex()
    return vector


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run; returns 0, or 1 when --check finds the file out of date."""
    parser = argparse.ArgumentParser(
        prog="make_digest_vectors.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when the file is out of date")
    parser.add_argument("--file", type=Path, default=DEFAULT_FILE, help="the file (%(default)s)")
    options = parser.parse_args(arguments)
    text = text_of_vectors()
    if not options.check:
        options.file.write_text(text, encoding="utf-8")
        return 0
    committed = options.file.read_text(encoding="utf-8") if options.file.exists() else ""
    if committed == text:
        print("digest vectors are up to date")
        return 0
    lines = (committed.splitlines(keepends=True), text.splitlines(keepends=True))
    print("".join(difflib.unified_diff(*lines, "committed", "made anew")), end="")
    print("digest vectors are out of date: run `python proto/make_digest_vectors.py` and commit the result")
    return 1


if __name__ == "__main__":
    sys.exit(main())
