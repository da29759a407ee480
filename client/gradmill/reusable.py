"""Functions that calls share: traced once for each set of shapes, sent once, however often they are called."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from gradmill.bodies import BodyTrace, body_trace, is_running
from gradmill.graph import Body, Input, Shape
from gradmill.handles import common_trace, number_inside
from gradmill.normal_forms import shape_of
from gradmill.places import refuse
from gradmill.structures import Leaf, Structure, taken_apart
from gradmill.tracing import Expression, apply

_Key: TypeAlias = tuple[Structure, tuple[Shape, ...]]

MAXIMUM_REMEMBERED = 64
"""How many sets of shapes a function remembers its body for; for further ones it is traced at each call."""


class Reusable:
    """A function whose calls refer to one body. Made by :func:`reusable`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Wrap a function of traced values."""
        self._function = function
        self._name = getattr(function, "__name__", type(function).__name__)
        self._known: dict[_Key, tuple[Body, Structure]] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *positional: object, **named: object) -> Any:  # noqa: ANN401 - arranged as the function likes
        """Trace a call.

        Args:
            positional: values, and tuples, lists and dicts of them; numbers too are values, not constants of the body.
            named: such, by name.

        Raises:
            TypeError: nothing is traced, or something is neither traced nor a real number or array.
            TracingError: the function calls itself with the same shapes, or returns nothing; or what it raises itself.
        """
        leaves, structure = taken_apart(self._name, (positional, named))
        key = (structure, tuple([shape_of(leaf) for leaf in leaves]))
        known = self._known.get(key)
        captured: Sequence[Expression] = ()
        if known is None:
            body, result_structure, captured = self._traced(key, leaves)
            if not captured and len(self._known) < MAXIMUM_REMEMBERED:
                self._known[key] = (body, result_structure)
        else:
            body, result_structure = known
        arguments = [*leaves, *captured]
        values = [
            apply("call", *arguments, function=body, **({"output": place} if place else {}))  # type: ignore[arg-type]
            for place in range(len(body.output_shapes))
        ]
        return result_structure.filled(iter(values))

    def __repr__(self) -> str:
        """Show the function's name."""
        return f"<Reusable {self._name}>"

    def _traced(self, key: _Key, leaves: Sequence[Leaf]) -> tuple[Body, Structure, list[Expression]]:
        """Run the function; return its body, how its results are arranged, and what it used from outside."""
        identity = (self, key)
        if is_running(identity):
            refuse(f"{self._name} calls itself with the same shapes, which would never end", "Use gradmill.fold.")
        inputs = [Input(f"argument{place}", shape_of(leaf)) for place, leaf in enumerate(leaves)]
        around = common_trace(self._name, leaves)
        with body_trace(self._name, inputs, around, identity) as trace:
            handles = iter([Expression(trace, number) for number in range(len(inputs))])
            arguments = key[0].filled(handles)
            body, structure, numbers = self._finished(trace, arguments)
        outer = trace.parent or around
        return body, structure, [Expression(outer, number) for number in numbers]

    def _finished(self, trace: BodyTrace, arguments: Any) -> tuple[Body, Structure, list[int]]:  # noqa: ANN401
        positional, named = arguments  # arranged as __call__ put them together
        results, structure = taken_apart(self._name, self._function(*positional, **named))
        if not results:
            refuse(f"{self._name} returns nothing", "Return at least one value.")
        outputs = {f"result{place}": number_inside(self._name, trace, leaf) for place, leaf in enumerate(results)}
        body, numbers = trace.finished(outputs)
        return body, structure, numbers


def reusable(function: Callable[..., Any]) -> Reusable:
    """Make a function's calls share one body instead of writing it out at each; to be used as a decorator.

        @gradmill.reusable
        def payoff(spot, strike):
            return gradmill.maximum(spot - strike, 0)

    It takes and returns values, and tuples, lists and dicts of them. It is run once for each arrangement and set of
    shapes that it is called with, so what it reads besides its arguments must not change; values traced outside may be
    used, but then it is traced at each call. Numbers are arguments like all others: bind what belongs to the function
    itself, such as a number of layers, with functools.partial.
    """
    return Reusable(function)
