"""``gradmill functions``: what graphs and formulas may call."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable

from gradmill.command_line import json_output
from gradmill.command_line.clients import open_client
from gradmill.command_line.problems import CommandError
from gradmill.descriptions import OperationInfo
from gradmill.formatting import align
from gradmill.functions import CATALOGUE


def list_functions(options: argparse.Namespace) -> int:
    """Run ``gradmill functions`` and return its exit status."""
    operations: Iterable[OperationInfo] = CATALOGUE
    if options.server:
        with open_client(options) as client:
            operations = client.operations(timeout=options.timeout)
    chosen = [entry for entry in operations if _matches(entry, options.filter)]
    if not chosen:
        message = f"no operation has {options.filter!r} in its name or description"
        raise CommandError(message)
    if options.json:
        document = {"operations": [dataclasses.asdict(entry) for entry in chosen]}
        sys.stdout.write(json_output.to_text(document))
        return 0
    sys.stdout.write("\n".join(align([_row(entry) for entry in chosen], indent="")) + "\n")
    return 0


def _matches(operation: OperationInfo, text: str) -> bool:
    wanted = text.lower()
    return any(wanted in part.lower() for part in (operation.name, *operation.aliases, operation.summary))


def _row(operation: OperationInfo) -> tuple[str, str, str]:
    names = ", ".join((operation.name, *operation.aliases))
    convention = f" Derivative: {operation.convention}." if operation.convention else ""
    shape = f" Shape: {operation.result_shape}." if operation.result_shape else ""
    return names, operation.signature, operation.summary + shape + convention
