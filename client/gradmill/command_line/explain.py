"""``gradmill explain``: the forward and the backward pass at one point, node by node."""

from __future__ import annotations

import argparse
import sys

from gradmill.command_line import json_output
from gradmill.command_line.clients import open_client, point_from
from gradmill.explanation import ExplainedNode, Explanation


def explain(options: argparse.Namespace) -> int:
    """Run ``gradmill explain`` and return its exit status."""
    point = point_from(options.at)
    with open_client(options) as client:
        explanation = client.explain(options.formula, point, output=options.output, timeout=options.timeout)
    text = json_output.to_text(_document(explanation)) if options.json else explanation.to_text()
    sys.stdout.write(text)
    return 0


def _document(explanation: Explanation) -> dict[str, object]:
    return {
        "digest": explanation.digest.hex(),
        "output": explanation.output,
        "stable_forms": list(explanation.stable_forms),
        "nodes": [_node(node) for node in explanation.nodes],
    }


def _node(node: ExplainedNode) -> dict[str, object]:
    return {
        "label": node.label,
        "operation": node.operation,
        "expression": node.expression,
        "value": node.value,
        "adjoint": node.adjoint,
        "local_partials": [{"argument": name, "partial": partial} for name, partial in node.local_partials],
    }
