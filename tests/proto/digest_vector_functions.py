"""The functions of the digest vectors, written the way they travel: every value by its index.

Indices count inputs, then constants, then nodes, each group in the order of its list.
"""

from __future__ import annotations

from gradmill.v1 import graph_pb2

from tests.proto.digest_vector_arrays import ARRAY_FUNCTIONS
from tests.proto.digest_vector_building import (
    Body,
    Operation,
    ParameterValue,
    VectorFunction,
    array,
    from_bits,
    make_graph,
    scalars,
)

CHAIN_LENGTH = 50
_WHOLE_NAN = 0x7FF8_0000_0000_0000
_MARKED_NAN = 0x7FF8_0000_0000_0001
_SEED_FORMULA = "3*(x1**2 + x2*x3)"

_WRITINGS_OF_ONE_FUNCTION = (
    VectorFunction(
        "seed",
        "The smallest function with everything ordinary in it: inputs, constants, operations, one output.",
        make_graph(
            scalars("x1", "x2", "x3"),
            [array(3.0), array(2.0)],
            [
                Operation("power", (0, 4)),
                Operation("multiply", (1, 2)),
                Operation("add", (5, 6)),
                Operation("multiply", (3, 7)),
            ],
            {"value": 8},
        ),
        formula=_SEED_FORMULA,
    ),
    VectorFunction(
        "seed_in_another_order",
        "The order of constants, of nodes and of operation names is no part of the function, nor are names of nodes.",
        make_graph(
            scalars("x1", "x2", "x3"),
            [array(2.0), array(3.0)],
            [
                Operation("multiply", (1, 2), label="x5"),
                Operation("power", (0, 3), label="x4"),
                Operation("add", (6, 5), label="x6"),
                Operation("multiply", (4, 7), label="x7"),
            ],
            {"value": 8},
            operation_names=("multiply", "add", "power"),
        ),
        same_as="seed",
    ),
    VectorFunction(
        "seed_in_plain_numbers",
        "`values` and `data` mean the same, and so do an element type left out and ELEMENT_TYPE_FLOAT64.",
        make_graph(
            [graph_pb2.Input(name=name) for name in ("x1", "x2", "x3")],
            [graph_pb2.Array(values=[3.0]), graph_pb2.Array(values=[2.0])],
            [
                Operation("power", (0, 4)),
                Operation("multiply", (1, 2)),
                Operation("add", (5, 6)),
                Operation("multiply", (3, 7)),
            ],
            {"value": 8},
        ),
        same_as="seed",
    ),
    VectorFunction(
        "seed_with_dead_values",
        "Constants and operations that no output needs are left out, whatever stands between the others.",
        make_graph(
            scalars("x1", "x2", "x3"),
            [array(9.0), array(3.0), array(2.0)],
            [
                Operation("exp", (3,)),
                Operation("power", (0, 5)),
                Operation("multiply", (1, 2)),
                Operation("sin", (6,)),
                Operation("add", (7, 8)),
                Operation("multiply", (4, 10)),
                Operation("add", (11, 9)),
            ],
            {"value": 11},
        ),
        same_as="seed",
    ),
)

_SHARING = (
    VectorFunction(
        "shared",
        "A value used twice is there once.",
        make_graph(
            scalars("x", "y"),
            [],
            [Operation("add", (0, 1)), Operation("exp", (2,)), Operation("multiply", (3, 3))],
            {"value": 4},
        ),
        formula="exp(x + y) * exp(x + y)",
    ),
    VectorFunction(
        "shared_given_twice",
        "Equal values are one value, also when they are equal only because their arguments turned out to be.",
        make_graph(
            scalars("x", "y"),
            [],
            [
                Operation("add", (0, 1)),
                Operation("add", (0, 1)),
                Operation("exp", (2,)),
                Operation("exp", (3,)),
                Operation("multiply", (4, 5)),
            ],
            {"value": 6},
        ),
        same_as="shared",
    ),
    VectorFunction(
        "operand_order",
        "x + y and y + x are two values: operand order is kept.",
        make_graph(
            scalars("x", "y"),
            [],
            [Operation("add", (0, 1)), Operation("add", (1, 0)), Operation("subtract", (2, 3))],
            {"value": 4},
        ),
        formula="(x + y) - (y + x)",
    ),
    VectorFunction(
        "no_arithmetic",
        "2 * 3 stays an operation, and x * 1 too.",
        make_graph(
            scalars("x"),
            [array(2.0), array(3.0), array(1.0)],
            [Operation("multiply", (1, 2)), Operation("multiply", (0, 3)), Operation("add", (4, 5))],
            {"value": 6},
        ),
        formula="2*3 + x*1",
    ),
    VectorFunction(
        "deep_chain",
        "Fifty operations on top of one another.",
        make_graph(
            scalars("x"), [], [Operation("sin", (index,)) for index in range(CHAIN_LENGTH)], {"value": CHAIN_LENGTH}
        ),
    ),
)

_CONSTANTS = (
    VectorFunction(
        "positive_zero",
        "Constants are told apart by their bits; compare negative_zero.",
        make_graph(scalars("x"), [array(0.0)], [Operation("add", (0, 1))], {"value": 2}),
        formula="x + 0.0",
    ),
    VectorFunction(
        "negative_zero",
        "Constants are told apart by their bits; compare positive_zero.",
        make_graph(scalars("x"), [array(-0.0)], [Operation("add", (0, 1))], {"value": 2}),
    ),
    VectorFunction(
        "both_zeros",
        "0.0 and -0.0 stay two values within one function.",
        make_graph(
            scalars("x"),
            [array(0.0), array(-0.0)],
            [Operation("atan2", (1, 0)), Operation("atan2", (2, 0)), Operation("subtract", (3, 4))],
            {"value": 5},
        ),
    ),
    VectorFunction(
        "nan",
        "A NaN equals a NaN of the same bits, here the first and the third constant, and no other.",
        make_graph(
            scalars("x"),
            [from_bits(_MARKED_NAN), from_bits(_WHOLE_NAN), from_bits(_MARKED_NAN)],
            [Operation("fmax", (0, 1)), Operation("fmax", (4, 2)), Operation("fmax", (5, 3))],
            {"value": 6},
        ),
    ),
    VectorFunction(
        "infinities",
        "Infinities are constants like any other; so is the smallest subnormal number.",
        make_graph(
            scalars("x"),
            [array(float("-inf")), array(float("inf")), array(5e-324)],
            [Operation("clip", (0, 1, 2)), Operation("add", (4, 3))],
            {"value": 5},
        ),
    ),
    VectorFunction(
        "constant_shapes",
        "The same number with three shapes is three constants.",
        make_graph(
            scalars("x"),
            [array(1.5), array(1.5, shape=[1]), array(1.5, shape=[1, 1])],
            [Operation("add", (0, 1)), Operation("add", (4, 2)), Operation("add", (5, 3))],
            {"value": 6},
        ),
    ),
)

_INPUTS_AND_OUTPUTS = (
    VectorFunction(
        "unused_input",
        "Inputs are numbered in declared order, used or not.",
        make_graph(scalars("unused", "x"), [], [Operation("exp", (1,))], {"value": 2}),
    ),
    VectorFunction(
        "arrays",
        "Arrays as inputs and constants; shapes of operations are not written, they follow.",
        make_graph(
            [*scalars("scale"), graph_pb2.Input(name="weights", shape=[2, 3], element_type="ELEMENT_TYPE_FLOAT64")],
            [array(1.0, -2.0, 0.5, shape=[3]), array(1.0, 10.0, shape=[2, 1])],
            [Operation("multiply", (1, 2)), Operation("add", (4, 3)), Operation("multiply", (0, 5))],
            {"value": 6},
        ),
    ),
    VectorFunction(
        "several_outputs",
        "Values are numbered by visiting the outputs in declared order.",
        make_graph(
            scalars("x", "y"),
            [],
            [Operation("sin", (0,)), Operation("cos", (1,)), Operation("multiply", (2, 3)), Operation("exp", (3,))],
            {"growth": 5, "product": 4},
        ),
        formula="growth = exp(cos(y)); product = sin(x)*cos(y); return growth, product",
    ),
    VectorFunction(
        "one_value_twice",
        "Two outputs may show one value, here given twice.",
        make_graph(scalars("x"), [], [Operation("tanh", (0,)), Operation("tanh", (0,))], {"first": 1, "second": 2}),
    ),
    VectorFunction(
        "outputs_without_operations",
        "An output may show an input or a constant directly.",
        make_graph(scalars("x", "y"), [array(2.5)], [], {"second": 1, "fixed": 2}),
    ),
    VectorFunction(
        "no_inputs",
        "A function of nothing.",
        make_graph([], [array(2.0)], [Operation("sqrt", (0,))], {"value": 1}),
    ),
)

_PARAMETERS: dict[str, ParameterValue] = {
    "text": "größe",
    "axes": (0, -1),
    "Number": -0.0,
    "integer": -(2**63),
    "none": (),
}

_STRUCTURAL = (
    VectorFunction(
        "parameters",
        "Parameters of each kind, in the order of their names' bytes: capital letters come first.",
        make_graph(scalars("x"), [], [Operation("made_up", (0,), _PARAMETERS)], {"value": 1}),
        structural=True,
    ),
    VectorFunction(
        "parameters_in_another_order",
        "The order in which parameters are sent is no part of the function.",
        make_graph(scalars("x"), [], [Operation("made_up", (0,), dict(reversed(_PARAMETERS.items())))], {"value": 1}),
        same_as="parameters",
        structural=True,
    ),
    VectorFunction(
        "parameter_kinds",
        "Operations with different parameters differ, also when only the kind of the parameter does.",
        make_graph(
            scalars("x"),
            [],
            [
                Operation("made_up", (0,), {"order": 2}),
                Operation("made_up", (0,), {"order": 2.0}),
                Operation("made_up", (0,), {"order": "2"}),
                Operation("made_up", (0,), {"order": (2,)}),
                Operation("made_up", (0,)),
                Operation("joined", (1, 2, 3, 4, 5)),
            ],
            {"value": 6},
        ),
        structural=True,
    ),
    VectorFunction(
        "no_elements",
        "An array without elements has a shape and no bytes.",
        make_graph(
            [graph_pb2.Input(name="x", shape=[0, 4], element_type="ELEMENT_TYPE_FLOAT64")],
            [array(shape=[0, 1])],
            [Operation("add", (0, 1))],
            {"value": 2},
        ),
        structural=True,
    ),
)

_BINARY32 = graph_pb2.ELEMENT_TYPE_FLOAT32
_ELEMENT_TYPES = (
    VectorFunction(
        "binary32",
        "Elements of binary32 have 4 bytes, also when they came as plain numbers.",
        make_graph(
            [graph_pb2.Input(name="x", shape=[2], element_type=_BINARY32)],
            [graph_pb2.Array(element_type=_BINARY32, shape=[2], values=[0.5, 0.1])],
            [Operation("multiply", (0, 1))],
            {"value": 2},
        ),
    ),
    VectorFunction(
        "binary32_bits",
        "Constants of binary32 are equal when all their bits are: two zeros and three NaNs are five constants.",
        make_graph(
            [graph_pb2.Input(name="x", element_type=_BINARY32)],
            [
                graph_pb2.Array(element_type=_BINARY32, data=bits.to_bytes(4, "little"))
                for bits in (0, 0x80000000, 0x7FC00000, 0xFFC00001, 0x7F800001, 0x80000000)
            ],
            [
                Operation("add", (0, 1)),
                Operation("add", (7, 2)),
                Operation("add", (8, 3)),
                Operation("add", (9, 4)),
                Operation("add", (10, 5)),
                Operation("add", (11, 6)),
            ],
            {"value": 12},
        ),
    ),
    VectorFunction(
        "binary32_body",
        "A body has the element type of the function that applies it.",
        make_graph(
            [graph_pb2.Input(name="x", element_type=_BINARY32), graph_pb2.Input(name="y", element_type=_BINARY32)],
            [],
            [Operation("call", (0, 1), {"function": Body(0)})],
            {"value": 2},
            functions=[
                make_graph(
                    [
                        graph_pb2.Input(name="argument0", element_type=_BINARY32),
                        graph_pb2.Input(name="argument1", element_type=_BINARY32),
                    ],
                    [],
                    [Operation("multiply", (0, 1))],
                    {"result0": 2},
                )
            ],
        ),
        structural=True,
    ),
)

FUNCTIONS: tuple[VectorFunction, ...] = (
    *_WRITINGS_OF_ONE_FUNCTION,
    *_SHARING,
    *_CONSTANTS,
    *_INPUTS_AND_OUTPUTS,
    *_STRUCTURAL,
    *_ELEMENT_TYPES,
    *ARRAY_FUNCTIONS,
)
