import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from gradmill.v1 import graph_pb2 as _graph_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Derivative(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DERIVATIVE_UNSPECIFIED: _ClassVar[Derivative]
    DERIVATIVE_VALUE: _ClassVar[Derivative]
    DERIVATIVE_GRADIENT: _ClassVar[Derivative]
    DERIVATIVE_JACOBIAN: _ClassVar[Derivative]
    DERIVATIVE_VJP: _ClassVar[Derivative]
    DERIVATIVE_JVP: _ClassVar[Derivative]
    DERIVATIVE_HVP: _ClassVar[Derivative]
    DERIVATIVE_HESSIAN: _ClassVar[Derivative]
    DERIVATIVE_HESSIAN_DIAGONAL: _ClassVar[Derivative]
    DERIVATIVE_SPARSE_JACOBIAN: _ClassVar[Derivative]
    DERIVATIVE_SPARSE_HESSIAN: _ClassVar[Derivative]

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_FORWARD: _ClassVar[Mode]
    MODE_REVERSE: _ClassVar[Mode]

class Reduction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REDUCTION_UNSPECIFIED: _ClassVar[Reduction]
    REDUCTION_NONE: _ClassVar[Reduction]
    REDUCTION_SUM: _ClassVar[Reduction]
    REDUCTION_MEAN: _ClassVar[Reduction]

class ArrayEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARRAY_ENCODING_UNSPECIFIED: _ClassVar[ArrayEncoding]
    ARRAY_ENCODING_DATA: _ClassVar[ArrayEncoding]
    ARRAY_ENCODING_VALUES: _ClassVar[ArrayEncoding]

class CacheOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CACHE_OUTCOME_UNSPECIFIED: _ClassVar[CacheOutcome]
    CACHE_OUTCOME_HIT: _ClassVar[CacheOutcome]
    CACHE_OUTCOME_MISS: _ClassVar[CacheOutcome]
    CACHE_OUTCOME_SHARED: _ClassVar[CacheOutcome]
DERIVATIVE_UNSPECIFIED: Derivative
DERIVATIVE_VALUE: Derivative
DERIVATIVE_GRADIENT: Derivative
DERIVATIVE_JACOBIAN: Derivative
DERIVATIVE_VJP: Derivative
DERIVATIVE_JVP: Derivative
DERIVATIVE_HVP: Derivative
DERIVATIVE_HESSIAN: Derivative
DERIVATIVE_HESSIAN_DIAGONAL: Derivative
DERIVATIVE_SPARSE_JACOBIAN: Derivative
DERIVATIVE_SPARSE_HESSIAN: Derivative
MODE_UNSPECIFIED: Mode
MODE_FORWARD: Mode
MODE_REVERSE: Mode
REDUCTION_UNSPECIFIED: Reduction
REDUCTION_NONE: Reduction
REDUCTION_SUM: Reduction
REDUCTION_MEAN: Reduction
ARRAY_ENCODING_UNSPECIFIED: ArrayEncoding
ARRAY_ENCODING_DATA: ArrayEncoding
ARRAY_ENCODING_VALUES: ArrayEncoding
CACHE_OUTCOME_UNSPECIFIED: CacheOutcome
CACHE_OUTCOME_HIT: CacheOutcome
CACHE_OUTCOME_MISS: CacheOutcome
CACHE_OUTCOME_SHARED: CacheOutcome

class Function(_message.Message):
    __slots__ = ("digest", "graph", "formula")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    FORMULA_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    graph: _graph_pb2.Graph
    formula: _graph_pb2.Formula
    def __init__(self, digest: _Optional[bytes] = ..., graph: _Optional[_Union[_graph_pb2.Graph, _Mapping]] = ..., formula: _Optional[_Union[_graph_pb2.Formula, _Mapping]] = ...) -> None: ...

class InputValues(_message.Message):
    __slots__ = ("name", "values", "shared")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _graph_pb2.Array
    shared: bool
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Union[_graph_pb2.Array, _Mapping]] = ..., shared: bool = ...) -> None: ...

class Points(_message.Message):
    __slots__ = ("count", "matrix", "inputs")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    count: int
    matrix: _graph_pb2.Array
    inputs: _containers.RepeatedCompositeFieldContainer[InputValues]
    def __init__(self, count: _Optional[int] = ..., matrix: _Optional[_Union[_graph_pb2.Array, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[InputValues, _Mapping]]] = ...) -> None: ...

class NamedArray(_message.Message):
    __slots__ = ("name", "array")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    name: str
    array: _graph_pb2.Array
    def __init__(self, name: _Optional[str] = ..., array: _Optional[_Union[_graph_pb2.Array, _Mapping]] = ...) -> None: ...

class Direction(_message.Message):
    __slots__ = ("arrays", "shared", "matrix")
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    arrays: _containers.RepeatedCompositeFieldContainer[NamedArray]
    shared: bool
    matrix: _graph_pb2.Array
    def __init__(self, arrays: _Optional[_Iterable[_Union[NamedArray, _Mapping]]] = ..., shared: bool = ..., matrix: _Optional[_Union[_graph_pb2.Array, _Mapping]] = ...) -> None: ...

class Want(_message.Message):
    __slots__ = ("derivative", "outputs", "with_respect_to", "directions", "omit_pattern")
    DERIVATIVE_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    WITH_RESPECT_TO_FIELD_NUMBER: _ClassVar[int]
    DIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    OMIT_PATTERN_FIELD_NUMBER: _ClassVar[int]
    derivative: Derivative
    outputs: _containers.RepeatedScalarFieldContainer[str]
    with_respect_to: _containers.RepeatedScalarFieldContainer[str]
    directions: Direction
    omit_pattern: bool
    def __init__(self, derivative: _Optional[_Union[Derivative, str]] = ..., outputs: _Optional[_Iterable[str]] = ..., with_respect_to: _Optional[_Iterable[str]] = ..., directions: _Optional[_Union[Direction, _Mapping]] = ..., omit_pattern: bool = ...) -> None: ...

class Options(_message.Message):
    __slots__ = ("parity", "disabled_stable_forms", "locate_non_finite")
    PARITY_FIELD_NUMBER: _ClassVar[int]
    DISABLED_STABLE_FORMS_FIELD_NUMBER: _ClassVar[int]
    LOCATE_NON_FINITE_FIELD_NUMBER: _ClassVar[int]
    parity: bool
    disabled_stable_forms: _containers.RepeatedScalarFieldContainer[str]
    locate_non_finite: bool
    def __init__(self, parity: bool = ..., disabled_stable_forms: _Optional[_Iterable[str]] = ..., locate_non_finite: bool = ...) -> None: ...

class EvaluateRequest(_message.Message):
    __slots__ = ("function", "wants", "points", "reduction", "encoding", "options")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    REDUCTION_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    function: Function
    wants: _containers.RepeatedCompositeFieldContainer[Want]
    points: Points
    reduction: Reduction
    encoding: ArrayEncoding
    options: Options
    def __init__(self, function: _Optional[_Union[Function, _Mapping]] = ..., wants: _Optional[_Iterable[_Union[Want, _Mapping]]] = ..., points: _Optional[_Union[Points, _Mapping]] = ..., reduction: _Optional[_Union[Reduction, str]] = ..., encoding: _Optional[_Union[ArrayEncoding, str]] = ..., options: _Optional[_Union[Options, _Mapping]] = ...) -> None: ...

class SparsePattern(_message.Message):
    __slots__ = ("rows", "columns", "row_starts", "column_indices", "digest", "places")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROW_STARTS_FIELD_NUMBER: _ClassVar[int]
    COLUMN_INDICES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    row_starts: _containers.RepeatedScalarFieldContainer[int]
    column_indices: _containers.RepeatedScalarFieldContainer[int]
    digest: bytes
    places: int
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ..., row_starts: _Optional[_Iterable[int]] = ..., column_indices: _Optional[_Iterable[int]] = ..., digest: _Optional[bytes] = ..., places: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("derivative", "output", "with_respect_to", "array", "second_with_respect_to", "pattern", "mode")
    DERIVATIVE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    WITH_RESPECT_TO_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    SECOND_WITH_RESPECT_TO_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    derivative: Derivative
    output: str
    with_respect_to: str
    array: _graph_pb2.Array
    second_with_respect_to: str
    pattern: SparsePattern
    mode: Mode
    def __init__(self, derivative: _Optional[_Union[Derivative, str]] = ..., output: _Optional[str] = ..., with_respect_to: _Optional[str] = ..., array: _Optional[_Union[_graph_pb2.Array, _Mapping]] = ..., second_with_respect_to: _Optional[str] = ..., pattern: _Optional[_Union[SparsePattern, _Mapping]] = ..., mode: _Optional[_Union[Mode, str]] = ...) -> None: ...

class NonFinite(_message.Message):
    __slots__ = ("point", "backward", "node")
    POINT_FIELD_NUMBER: _ClassVar[int]
    BACKWARD_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    point: int
    backward: bool
    node: ExplainedNode
    def __init__(self, point: _Optional[int] = ..., backward: bool = ..., node: _Optional[_Union[ExplainedNode, _Mapping]] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue", "compile", "compute", "encode")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    COMPILE_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    queue: _duration_pb2.Duration
    compile: _duration_pb2.Duration
    compute: _duration_pb2.Duration
    encode: _duration_pb2.Duration
    def __init__(self, queue: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., compile: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., compute: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., encode: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("digest", "results", "point_flags", "cache", "stable_forms", "timings", "non_finite")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    POINT_FLAGS_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    STABLE_FORMS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    NON_FINITE_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    results: _containers.RepeatedCompositeFieldContainer[Result]
    point_flags: bytes
    cache: CacheOutcome
    stable_forms: _containers.RepeatedScalarFieldContainer[str]
    timings: Timings
    non_finite: _containers.RepeatedCompositeFieldContainer[NonFinite]
    def __init__(self, digest: _Optional[bytes] = ..., results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., point_flags: _Optional[bytes] = ..., cache: _Optional[_Union[CacheOutcome, str]] = ..., stable_forms: _Optional[_Iterable[str]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., non_finite: _Optional[_Iterable[_Union[NonFinite, _Mapping]]] = ...) -> None: ...

class EvaluateStreamRequest(_message.Message):
    __slots__ = ("sequence", "request", "timeout", "cancel")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    request: EvaluateRequest
    timeout: _duration_pb2.Duration
    cancel: bool
    def __init__(self, sequence: _Optional[int] = ..., request: _Optional[_Union[EvaluateRequest, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cancel: bool = ...) -> None: ...

class EvaluateStreamResponse(_message.Message):
    __slots__ = ("sequence", "response", "error")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    response: EvaluateResponse
    error: StreamError
    def __init__(self, sequence: _Optional[int] = ..., response: _Optional[_Union[EvaluateResponse, _Mapping]] = ..., error: _Optional[_Union[StreamError, _Mapping]] = ...) -> None: ...

class StreamError(_message.Message):
    __slots__ = ("code", "message", "status")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    status: bytes
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., status: _Optional[bytes] = ...) -> None: ...

class RegisterFunctionRequest(_message.Message):
    __slots__ = ("function", "wants")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    function: Function
    wants: _containers.RepeatedCompositeFieldContainer[Want]
    def __init__(self, function: _Optional[_Union[Function, _Mapping]] = ..., wants: _Optional[_Iterable[_Union[Want, _Mapping]]] = ...) -> None: ...

class RegisterFunctionResponse(_message.Message):
    __slots__ = ("digest", "inputs", "outputs", "value_count")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    VALUE_COUNT_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    inputs: _containers.RepeatedCompositeFieldContainer[_graph_pb2.Input]
    outputs: _containers.RepeatedCompositeFieldContainer[OutputDescription]
    value_count: int
    def __init__(self, digest: _Optional[bytes] = ..., inputs: _Optional[_Iterable[_Union[_graph_pb2.Input, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[OutputDescription, _Mapping]]] = ..., value_count: _Optional[int] = ...) -> None: ...

class OutputDescription(_message.Message):
    __slots__ = ("name", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("function", "points", "output")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    function: Function
    points: Points
    output: str
    def __init__(self, function: _Optional[_Union[Function, _Mapping]] = ..., points: _Optional[_Union[Points, _Mapping]] = ..., output: _Optional[str] = ...) -> None: ...

class ExplainedNode(_message.Message):
    __slots__ = ("label", "operation", "expression", "value", "adjoint", "local_partials")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ADJOINT_FIELD_NUMBER: _ClassVar[int]
    LOCAL_PARTIALS_FIELD_NUMBER: _ClassVar[int]
    label: str
    operation: str
    expression: str
    value: _graph_pb2.Array
    adjoint: _graph_pb2.Array
    local_partials: _containers.RepeatedCompositeFieldContainer[LocalPartial]
    def __init__(self, label: _Optional[str] = ..., operation: _Optional[str] = ..., expression: _Optional[str] = ..., value: _Optional[_Union[_graph_pb2.Array, _Mapping]] = ..., adjoint: _Optional[_Union[_graph_pb2.Array, _Mapping]] = ..., local_partials: _Optional[_Iterable[_Union[LocalPartial, _Mapping]]] = ...) -> None: ...

class LocalPartial(_message.Message):
    __slots__ = ("argument", "partial")
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    argument: str
    partial: _graph_pb2.Array
    def __init__(self, argument: _Optional[str] = ..., partial: _Optional[_Union[_graph_pb2.Array, _Mapping]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("digest", "output", "nodes", "stable_forms")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    STABLE_FORMS_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    output: str
    nodes: _containers.RepeatedCompositeFieldContainer[ExplainedNode]
    stable_forms: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digest: _Optional[bytes] = ..., output: _Optional[str] = ..., nodes: _Optional[_Iterable[_Union[ExplainedNode, _Mapping]]] = ..., stable_forms: _Optional[_Iterable[str]] = ...) -> None: ...

class ListOperationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OperationDescription(_message.Message):
    __slots__ = ("name", "aliases", "arity", "summary", "convention", "maximum_arity", "signature", "result_shape", "parameters")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    ARITY_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    CONVENTION_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_ARITY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    RESULT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    arity: int
    summary: str
    convention: str
    maximum_arity: int
    signature: str
    result_shape: str
    parameters: _containers.RepeatedCompositeFieldContainer[ParameterDescription]
    def __init__(self, name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., arity: _Optional[int] = ..., summary: _Optional[str] = ..., convention: _Optional[str] = ..., maximum_arity: _Optional[int] = ..., signature: _Optional[str] = ..., result_shape: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[ParameterDescription, _Mapping]]] = ...) -> None: ...

class ParameterDescription(_message.Message):
    __slots__ = ("name", "kind", "optional")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    optional: bool
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., optional: bool = ...) -> None: ...

class ListOperationsResponse(_message.Message):
    __slots__ = ("operations",)
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[OperationDescription]
    def __init__(self, operations: _Optional[_Iterable[_Union[OperationDescription, _Mapping]]] = ...) -> None: ...
