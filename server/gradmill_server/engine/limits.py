"""The limits on what one caller may send, each with the reason that refuses it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds, all inclusive.

    Attributes:
        maximum_nodes: values of a function as sent, inputs and constants included, together with those of its bodies;
            also with its calls written out.
        maximum_inputs: inputs of a function.
        maximum_outputs: outputs of a function.
        maximum_elements_per_value: elements of one array value at one point.
        maximum_constant_elements: elements of all constants of a function together, and of lists such as indices.
        maximum_rank: dimensions of a shape.
        maximum_name_characters: characters of a name.
        maximum_formula_characters: characters of a formula.
        maximum_formula_depth: nesting of parentheses and brackets in a formula.
        maximum_functions: bodies of loops and calls that a function brings along.
        maximum_loop_depth: loops that stand in one another.
        maximum_loop_bytes: bytes that reverse mode stores for a loop at one point, of the carries that its steps began
            with; with more of them a loop is cut into segments, whose steps are computed once more.
        maximum_program_nodes: values of a function together with the derivatives wanted of it.
        maximum_pattern_bytes: bytes of the sets that the pattern of one sparse derivative is found with.
        maximum_points: points of one call.
        maximum_directions: cotangents, tangents or vectors of one wish.
        maximum_result_bytes: bytes of all results that one call holds at a time.
        maximum_scratch_bytes: bytes of intermediate values one call may hold at a time; batches are cut to fit.
    """

    maximum_nodes: int = 1_500_000
    maximum_inputs: int = 100_000
    maximum_outputs: int = 1_000
    maximum_elements_per_value: int = 1_000_000
    maximum_constant_elements: int = 4_000_000
    maximum_rank: int = 8
    maximum_name_characters: int = 128
    maximum_formula_characters: int = 100_000
    maximum_formula_depth: int = 10_000
    maximum_functions: int = 20_000
    maximum_loop_depth: int = 16
    maximum_loop_bytes: int = 64 * 1024 * 1024
    maximum_program_nodes: int = 10_000_000
    maximum_pattern_bytes: int = 256 * 1024 * 1024
    maximum_points: int = 10_000_000
    maximum_directions: int = 1_000
    maximum_result_bytes: int = 1024 * 1024 * 1024
    maximum_scratch_bytes: int = 256 * 1024 * 1024
