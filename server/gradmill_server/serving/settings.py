"""Every setting of a server, in one table: name, default, unit, bounds, and what it does.

Flags, environment names, the help text, the start record and the knobs that errors name are all read from it. The
limits of the engine are rows of the same table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, cast

from gradmill_server.engine.limits import Limits

Scalar = bool | int | float | str

ENVIRONMENT_PREFIX = "GRADMILL_"
_MEBIBYTE = 1024 * 1024
_HIGHEST_PORT = 65_535
_LARGEST_MESSAGE_BYTES = 2_000_000_000
"""Protobuf's own bound on a message is 2 GiB."""


class Row(NamedTuple):
    """One setting.

    Attributes:
        name: the name of the field, and of the knob in errors.
        default: its value unless said; its type is the type of the setting.
        group: the heading it stands under in the help text.
        unit: what the number counts; empty for none.
        summary: what it does, in one line.
        minimum: the least value allowed.
        maximum: the greatest value allowed.
        choices: the texts allowed; empty for any.
    """

    name: str
    default: Scalar
    group: str
    unit: str
    summary: str
    minimum: float
    maximum: float
    choices: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def environment_name(self) -> str:
        """The name among the environment variables."""
        return ENVIRONMENT_PREFIX + self.name.upper()


def _row(
    group: str,
    summary: str,
    *,
    unit: str = "",
    minimum: float = 1,
    maximum: float = math.inf,
    choices: tuple[str, ...] = (),
) -> Mapping[str, Any]:
    """Return the columns of a row beside its name and default, to stand in a field's metadata."""
    return {
        "group": group,
        "unit": unit,
        "summary": summary,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
    }


LISTENING = "listening"
METRICS = "metrics"
PROCESSES = "processes"
WORK = "work"
SECURITY = "security"
QUOTAS = "quotas of each caller"
ADMISSION = "what is answered at a time"
TIME = "time"
LOG = "log"
LIMITS = "limits of one call"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a server. The units and bounds stand in the rows below; `TABLE` lists them for programs."""

    host: str = field(default="127.0.0.1", metadata=_row(LISTENING, "address to listen on; 0.0.0.0 or [::] for all"))
    port: int = field(
        default=50_051,
        metadata=_row(LISTENING, "port to listen on; 0 for any that is free", minimum=0, maximum=_HIGHEST_PORT),
    )

    metrics: bool = field(default=True, metadata=_row(METRICS, "whether to serve /metrics over HTTP"))
    metrics_host: str = field(default="127.0.0.1", metadata=_row(METRICS, "address to serve /metrics on"))
    metrics_port: int = field(
        default=9_464,
        metadata=_row(METRICS, "port to serve /metrics on; 0 for any that is free", minimum=0, maximum=_HIGHEST_PORT),
    )

    processes: int = field(
        default=0,
        metadata=_row(
            PROCESSES, "processes that answer on the port; 0 for one per processor", minimum=0, maximum=1_024
        ),
    )
    spare_processes: int = field(
        default=1,
        metadata=_row(
            PROCESSES, "processes kept ready to stand in for one that dies", unit="processes", minimum=0, maximum=64
        ),
    )
    worker_hang_seconds: float = field(
        default=10.0,
        metadata=_row(
            PROCESSES, "time after which a process that gives no sign of life is replaced", unit="seconds", minimum=1
        ),
    )
    quarantine_deaths: int = field(
        default=3, metadata=_row(PROCESSES, "processes that die of a function before it is refused", unit="processes")
    )
    quarantine_seconds: float = field(
        default=3_600.0, metadata=_row(PROCESSES, "time for which it is refused then", unit="seconds", minimum=0)
    )

    tls_certificate_file: str = field(
        default="",
        metadata=_row(SECURITY, "certificate in PEM, with those between it and its authority; none for clear"),
    )
    tls_key_file: str = field(default="", metadata=_row(SECURITY, "private key of the certificate, in PEM"))
    tls_client_authority_file: str = field(
        default="", metadata=_row(SECURITY, "certificates in PEM that callers' must come from; none asks for none")
    )
    token_file: str = field(
        default="",
        metadata=_row(SECURITY, "bearer tokens: a name, a SHA-256 and a date a line, as gradmill token prints"),
    )
    jwt_key_file: str = field(
        default="", metadata=_row(SECURITY, "public keys of JSON web tokens, in PEM or as a JSON web key set")
    )
    jwt_secret_file: str = field(
        default="", metadata=_row(SECURITY, "secret of JSON web tokens, in place of public keys")
    )
    jwt_algorithms: str = field(
        default="", metadata=_row(SECURITY, "algorithms allowed, separated by commas; none for all that fit the keys")
    )
    jwt_issuer: str = field(default="", metadata=_row(SECURITY, "issuer that JSON web tokens must name"))
    jwt_audience: str = field(default="", metadata=_row(SECURITY, "audience that JSON web tokens must name"))
    jwt_leeway_seconds: float = field(
        default=10.0,
        metadata=_row(SECURITY, "how far the issuer's clock may be off", unit="seconds", minimum=0, maximum=600),
    )
    tokens_in_clear: bool = field(
        default=False, metadata=_row(SECURITY, "whether tokens may cross a network without TLS")
    )
    reflection: str = field(
        default="auto",
        metadata=_row(
            SECURITY, "whether to describe the services; auto: on a loopback address", choices=("auto", "on", "off")
        ),
    )
    reload_seconds: float = field(
        default=5.0,
        metadata=_row(SECURITY, "how often these files are looked at for changes", unit="seconds", minimum=0.1),
    )

    caller_requests_per_second: float = field(
        default=0.0,
        metadata=_row(QUOTAS, "calls and stream messages; 0 for any number", unit="requests per second", minimum=0),
    )
    caller_points_per_second: float = field(
        default=0.0, metadata=_row(QUOTAS, "points; 0 for any number", unit="points per second", minimum=0)
    )
    caller_burst_seconds: float = field(
        default=1.0,
        metadata=_row(QUOTAS, "how long a caller may save up", unit="seconds", minimum=0.001, maximum=3_600),
    )
    caller_quota_file: str = field(
        default="",
        metadata=_row(QUOTAS, "other quotas: a name, requests and points per second a line; 0 for any number"),
    )

    workers: int = field(
        default=0,
        metadata=_row(WORK, "threads that compile and compute; 0 for one per processor", minimum=0, maximum=1_024),
    )
    worker_niceness: int = field(
        default=10,
        metadata=_row(WORK, "by how much their priority is below that of the event loop", minimum=0, maximum=19),
    )
    queue_length: int = field(
        default=256, metadata=_row(WORK, "work that may wait for a worker", unit="jobs", minimum=0)
    )
    caller_queue_length: int = field(
        default=128, metadata=_row(WORK, "work of one caller that may wait for a worker", unit="jobs", minimum=0)
    )
    inline_microseconds: int = field(
        default=50,
        metadata=_row(
            WORK, "predicted time up to which a pass is not handed to a worker", unit="microseconds", minimum=0
        ),
    )
    batch_points: int = field(
        default=1_024, metadata=_row(WORK, "points of several calls that one pass takes together", unit="points")
    )
    batch_seconds: float = field(
        default=0.002,
        metadata=_row(WORK, "predicted time that one pass over several calls takes", unit="seconds", minimum=0),
    )
    batch_delay_seconds: float = field(
        default=0.0,
        metadata=_row(
            WORK, "time for which a busy server holds a call back so that others join it", unit="seconds", minimum=0
        ),
    )
    memory_bytes: int = field(
        default=0,
        metadata=_row(
            WORK,
            "memory of one process, of which the cache gives some back and calls are refused near it; 0 for the"
            " process's share of what the control group or the machine has",
            unit="bytes",
            minimum=0,
        ),
    )
    cache_bytes: int = field(
        default=512 * _MEBIBYTE,
        metadata=_row(WORK, "memory for functions and programs kept between calls", unit="bytes", minimum=0),
    )
    tenant_cache_bytes: int = field(
        default=256 * _MEBIBYTE,
        metadata=_row(WORK, "the part of it that one caller with credentials may hold", unit="bytes", minimum=0),
    )

    maximum_message_bytes: int = field(
        default=16 * _MEBIBYTE,
        metadata=_row(ADMISSION, "size of one request", unit="bytes", maximum=_LARGEST_MESSAGE_BYTES),
    )
    maximum_calls_in_flight: int = field(
        default=1_000, metadata=_row(ADMISSION, "calls and stream messages being answered", unit="calls")
    )
    maximum_bytes_in_flight: int = field(
        default=256 * _MEBIBYTE, metadata=_row(ADMISSION, "requests being answered, together", unit="bytes")
    )
    maximum_streams: int = field(default=200, metadata=_row(ADMISSION, "open streams", unit="streams"))
    caller_calls_in_flight: int = field(
        default=500, metadata=_row(ADMISSION, "calls and stream messages of one caller being answered", unit="calls")
    )
    caller_streams: int = field(default=100, metadata=_row(ADMISSION, "open streams of one caller", unit="streams"))
    stream_read_ahead: int = field(
        default=4, metadata=_row(ADMISSION, "messages of one stream being answered", unit="messages", maximum=1_024)
    )

    default_deadline_seconds: float = field(
        default=60.0, metadata=_row(TIME, "time for a call whose caller sets none", unit="seconds", minimum=0.001)
    )
    maximum_deadline_seconds: float = field(
        default=600.0, metadata=_row(TIME, "time for a call, whatever its caller sets", unit="seconds", minimum=0.001)
    )
    stream_idle_seconds: float = field(
        default=300.0,
        metadata=_row(TIME, "time after which a stream on which nothing comes is ended", unit="seconds", minimum=0.001),
    )
    drain_seconds: float = field(
        default=25.0, metadata=_row(TIME, "time for calls being answered when told to stop", unit="seconds", minimum=0)
    )

    log_level: str = field(
        default="info",
        metadata=_row(LOG, "the least severe records to write", choices=("debug", "info", "warning", "error")),
    )
    log_format: str = field(
        default="json", metadata=_row(LOG, "one JSON object a line, or text for people", choices=("json", "text"))
    )

    maximum_wants: int = field(default=64, metadata=_row(LIMITS, "wishes", unit="wishes"))
    limits: Limits = field(default_factory=Limits)

    def as_record(self) -> dict[str, Scalar]:
        """Return every setting by name, for the log. None of them is a secret."""
        own: dict[str, Scalar] = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.metadata}
        return own | {entry.name: getattr(self.limits, entry.name) for entry in fields(self.limits)}


_LIMIT_SUMMARIES: Mapping[str, tuple[str, str]] = {
    "maximum_nodes": ("nodes", "size of a function with its bodies, inputs and constants included"),
    "maximum_inputs": ("inputs", "inputs of a function"),
    "maximum_outputs": ("outputs", "outputs of a function"),
    "maximum_elements_per_value": ("elements", "size of one array value at one point"),
    "maximum_constant_elements": ("elements", "constants of a function, with lists such as indices"),
    "maximum_rank": ("dimensions", "rank of a shape"),
    "maximum_name_characters": ("characters", "length of a name"),
    "maximum_formula_characters": ("characters", "length of a formula"),
    "maximum_formula_depth": ("levels", "nesting of parentheses and brackets in a formula"),
    "maximum_functions": ("functions", "bodies of loops and calls that a function brings along"),
    "maximum_loop_depth": ("loops", "loops that stand in one another"),
    "maximum_loop_bytes": ("bytes", "carries of one loop that reverse mode stores for a point"),
    "maximum_program_nodes": ("nodes", "size of a function with the derivatives wanted of it"),
    "maximum_pattern_bytes": ("bytes", "memory of the sets that the pattern of a sparse derivative is found with"),
    "maximum_points": ("points", "points of one call"),
    "maximum_directions": ("directions", "cotangents, tangents or vectors of one wish"),
    "maximum_result_bytes": ("bytes", "results of one call; of a block of points where they are summed up"),
    "maximum_scratch_bytes": ("bytes", "intermediate values held at a time; batches are cut to fit"),
}


def _own_rows() -> list[Row]:
    own = (entry for entry in fields(Settings) if entry.metadata)
    return [Row(name=entry.name, default=cast("Scalar", entry.default), **entry.metadata) for entry in own]


def _limit_rows() -> list[Row]:
    rows = []
    for entry in fields(Limits):
        unit, summary = _LIMIT_SUMMARIES[entry.name]
        maximum = _LARGEST_MESSAGE_BYTES if entry.name == "maximum_result_bytes" else math.inf
        rows.append(Row(entry.name, cast("int", entry.default), LIMITS, unit, summary, 1, maximum, ()))
    return rows


TABLE: tuple[Row, ...] = (*_own_rows(), *_limit_rows())
"""Every setting, in the order of the help text."""

_LIMIT_NAMES = frozenset(entry.name for entry in fields(Limits))


def from_values(values: Mapping[str, Scalar], defaults: Settings | None = None) -> Settings:
    """Return settings with these values, by name; what is not named keeps its default.

    Raises:
        TypeError: for a name that is no setting.
    """
    merged: dict[str, Any] = (defaults or Settings()).as_record() | dict(values)
    limits = Limits(**{name: merged.pop(name) for name in _LIMIT_NAMES})
    return Settings(**merged, limits=limits)
