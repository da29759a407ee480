"""Drafts: graphs as they came. Nothing but their size is checked here, before anybody looks at what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from gradmill_server.engine.checkpoints import Checkpoint, never, watched
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.errors import LimitExceeded
from gradmill_server.engine.ir import FloatArray, ParameterValue
from gradmill_server.engine.limits import Limits


class DraftInput(NamedTuple):
    """An input as sent."""

    name: str
    shape: Sequence[int]
    element_type: int = ElementType.FLOAT64


class DraftConstant(NamedTuple):
    """A constant as sent: its elements flat, as float64, row-major."""

    shape: Sequence[int]
    values: FloatArray
    element_type: int = ElementType.FLOAT64


class DraftFunction(NamedTuple):
    """A parameter as sent that is a function: an index into the list of functions that the whole draft has."""

    place: int


DraftParameters: TypeAlias = tuple[tuple[str, "ParameterValue | DraftFunction"], ...]


class DraftNode(NamedTuple):
    """An operation as sent; ``operation`` is an index into the draft's names."""

    operation: int
    arguments: Sequence[int]
    parameters: DraftParameters = ()
    name: str = ""


class DraftOutput(NamedTuple):
    """An output as sent."""

    name: str
    value: int


class GraphDraft(NamedTuple):
    """A graph as sent. Values are counted inputs first, then constants, then nodes.

    Its functions are the bodies that parameters name, each by its place; those of a body are empty.
    """

    inputs: Sequence[DraftInput]
    constants: Sequence[DraftConstant]
    operation_names: Sequence[str]
    nodes: Sequence[DraftNode]
    outputs: Sequence[DraftOutput]
    functions: Sequence[GraphDraft] = ()


def functions_of(
    draft: GraphDraft, limits: Limits, field: str, checkpoint: Checkpoint = never
) -> tuple[list[GraphDraft], int]:
    """Return the drafts of the bodies, and how many elements all constants have together.

    Nothing is looked at before its number is known to be small enough.

    Raises:
        LimitExceeded: when there are too many, or they and the graph are too large together.
    """
    _check(len(draft.functions), "number of functions", "TOO_MANY_FUNCTIONS", "maximum_functions", limits, field)
    functions = list(draft.functions)
    drafts = [draft, *functions]
    values = sum(len(each.inputs) + len(each.constants) + len(each.nodes) for each in drafts)
    _check(values, "number of values", "GRAPH_TOO_LARGE", "maximum_nodes", limits, field)
    elements = sum(len(constant.values) for each in drafts for constant in watched(each.constants, checkpoint))
    check_constants(elements, limits, field)
    return functions, elements


def check_constants(elements: int, limits: Limits, field: str) -> None:
    """Let so many elements of constants pass, those of lists in parameters included.

    Raises:
        LimitExceeded: when they are too many.
    """
    what, reason, knob = "number of constant elements", "CONSTANTS_TOO_LARGE", "maximum_constant_elements"
    _check(elements, what, reason, knob, limits, field)


def check_ends(draft: GraphDraft, limits: Limits, field: str) -> None:
    """Let a graph or a body pass that has not too many inputs and outputs.

    Raises:
        LimitExceeded: when it has.
    """
    _check(len(draft.inputs), "number of inputs", "TOO_MANY_INPUTS", "maximum_inputs", limits, field)
    _check(len(draft.outputs), "number of outputs", "TOO_MANY_OUTPUTS", "maximum_outputs", limits, field)


def _check(value: int, what: str, reason: str, knob: str, limits: Limits, field: str) -> None:
    limit = getattr(limits, knob)
    if value > limit:
        raise LimitExceeded.of(what, reason=reason, value=value, limit=limit, knob=knob, field=field)
