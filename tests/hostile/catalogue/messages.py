"""Bytes that are no message, and messages that protobuf allows though nobody would send them."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from tests.hostile.building import GRAPH, SEED, THREE, VALUE, evaluate, explain, graph_request, nested, register, varint
from tests.hostile.cases import Case
from tests.hostile.threats import Threat

_METHODS = ("Evaluate", "RegisterFunction", "Explain", "ListOperations")


def cases() -> Iterator[Case]:
    """Return the cases of this theme."""
    yield from _broken()
    yield from _cut()
    yield from _garbage()
    yield from _deep()
    yield from _texts()
    yield from _allowed()


def _refused(name: str, body: bytes, method: str = "Evaluate") -> Case:
    return Case(
        name=name,
        threat=Threat.BAD_BYTES,
        method=method,
        body=body,
        reason="REQUEST_MALFORMED",
        place="Operations" if method == "ListOperations" else method,
    )


def _broken() -> Iterator[Case]:
    table = (
        ("a length beyond the end", b"\x0a\xff\xff\xff\x7f\x00"),
        ("a length of 2**64 - 1", b"\x0a" + b"\xff" * 9 + b"\x01"),
        ("a varint without end", b"\x08" + b"\xff" * 11),
        ("a varint of a million bytes", b"\x08" + b"\x80" * 1_000_000),
        ("wire type 6", b"\x0e\x00"),
        ("wire type 7", b"\x0f\x00"),
        ("field number 0", b"\x02\x00"),
        ("a tag that is cut", b"\x80"),
        ("a tag of more than 32 bits", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("a group that never ends", b"\x0b"),
        ("the end of a group that never began", b"\x0c"),
        ("the end of another group", b"\x0b\x14"),
        ("a fixed number that is cut", b"\x09\x00\x00"),
        ("a message where a number is", b"\x22\x00" * 0 + b"\x0a\x01"),
        ("a function that is no message", nested((1,), b"\xff")),
        ("a graph that is no message", nested((1, 2), b"\x0f")),
        ("a node that is no message", nested((1, 2, 4), b"\xff\xff")),
        ("packed numbers that are cut", nested((3, 2, 3), b"\x00" * 7)),
        ("packed integers that are cut", nested((3, 2, 2), b"\xff")),
        ("null bytes", b"\x00" * 100),
        ("text", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("JSON", b'{"function": {"formula": {"text": "x"}}}'),
        ("a pickle", b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."),
        ("an archive", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"),
    )
    for name, body in table:
        yield _refused(f"bytes: {name}", body)
    for method in _METHODS:
        yield _refused(f"bytes for {method} that are no message", b"\x0a\xff\xff\xff\x7f", method)


def _cut() -> Iterator[Case]:
    whole = evaluate(SEED, VALUE, THREE)
    for length in (1, 2, 5, len(whole) // 3, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        yield _refused(f"a message cut after {length} of {len(whole)} bytes", whole[:length])
    graph = graph_request(GRAPH)
    for length in (3, len(graph) // 2, len(graph) - 1):
        yield _refused(f"a graph cut after {length} of {len(graph)} bytes", graph[:length])
    for method, body in (("RegisterFunction", register(SEED)), ("Explain", explain(SEED, THREE))):
        yield _refused(f"a message of {method} cut by a byte", body[:-1], method)


def _garbage() -> Iterator[Case]:
    generator = random.Random(7)
    for size in (1, 3, 16, 256, 4_096, 65_536, 1_000_000):
        # A group that is opened first: whatever follows, the message does not end well by chance.
        yield _refused(f"{size} random bytes", b"\x0b" + generator.randbytes(size))


def _deep() -> Iterator[Case]:
    for depth in (101, 1_000, 100_000):
        yield _refused(f"{depth} groups in one another", b"\x0b" * depth + b"\x0c" * depth)
    groups = b"\xfb\x01" * 5_000 + b"\xfc\x01" * 5_000
    yield _refused("5,000 groups of a field there is not", groups)
    bodies = nested((1,) + (2,) + (6,) * 200, b"")
    yield _refused("200 bodies in one another", bodies)
    yield Case(
        name="three bodies in one another",
        threat=Threat.BAD_BYTES,
        body=graph_request(f"{GRAPH} functions {{functions {{functions {{}}}} outputs {{name: 'a'}}}}"),
        reason="FUNCTIONS_NESTED",
        place="functions[0].functions",
    )


def _texts() -> Iterator[Case]:
    good = evaluate('function {formula {text: "abcdefgh"}}', VALUE, THREE)
    for name, text in (
        ("bytes that never occur", b"\xff" * 8),
        ("a start without its rest", b"abcdefg\xc3"),
        ("a rest without its start", b"abcdefg\x80"),
        ("a slash written too long", b"abcdef\xc0\xaf"),
        ("half a surrogate pair", b"abcde\xed\xa0\x80"),
        ("a character beyond the last", b"abcd\xf4\x90\x80\x80"),
        ("Latin-1", b"abcdefg\xe9"),
        ("UTF-16", "abcd".encode("utf-16-le").replace(b"\0", b"\xfe")),
    ):
        yield _refused(f"a formula of {name}", good.replace(b"abcdefgh", text))
    graph = graph_request(GRAPH)
    yield _refused("an operation's name that is no UTF-8", graph.replace(b"power", b"pow\xff\xfe"))
    yield _refused("an output's name that is no UTF-8", graph.replace(b"value", b"valu\xe9"))


def _allowed() -> Iterator[Case]:
    """Return what protobuf promises to read, however odd: it must be answered like its ordinary form."""
    point = struct.pack("<3d", 2.0, 3.0, 4.0)
    head = evaluate(SEED, VALUE)
    whole = evaluate(SEED, VALUE, THREE)
    split = b"".join(nested((3, 2, 3), struct.pack("<d", number)) for number in (2.0, 3.0, 4.0))
    unpacked = nested((3, 2), b"".join(b"\x19" + struct.pack("<d", number) for number in (2.0, 3.0, 4.0)))
    shape = nested((3, 2, 2), b"\x01\x03")
    table = (
        ("numbers in three packed parts", head + shape + split),
        ("numbers that are not packed", head + shape + unpacked),
        ("numbers packed and not", head + shape + nested((3, 2, 3), point[:16]) + nested((3, 2), b"\x19" + point[16:])),
        ("extents that are not packed", head + nested((3, 2), b"\x10\x01\x10\x03" + b"\x1a\x18" + point)),
        ("an extent of ten bytes", head + nested((3, 2, 2), b"\x81" + b"\x80" * 8 + b"\x00\x03") + split),
        ("the points before the function", whole[len(head) :] + head),
        ("a field there is not", whole + nested((1_000,), b"of a newer client")),
        ("a field there is not, a million bytes long", whole + nested((1_000,), b"a" * 1_000_000)),
        ("a group of a field there is not", whole + b"\xfb\x3e\x08\x01\xfc\x3e"),
        ("10,000 fields there are not", whole + b"\xf8\x3e\x01" * 10_000),
        ("a tag of five bytes", b"\x8a\x80\x80\x80\x00" + head[1:] + whole[len(head) :]),
        ("a length of five bytes", b"\x0a" + _long_varint(head[1]) + head[2:] + whole[len(head) :]),
        ("an empty part of every message", whole + b"\x0a\x00\x1a\x00\x32\x00"),
    )
    for name, body in table:
        yield Case(name=f"a message with {name}", threat=Threat.BAD_BYTES, body=body, answer=(48.0,))
    yield Case(
        name="a function given twice, of which the second counts",
        threat=Threat.BAD_BYTES,
        body=nested((1, 3, 1), b"sine(x1)") + whole,
        answer=(48.0,),
    )
    yield Case(name="a request of no bytes", threat=Threat.BAD_BYTES, body=b"", reason="FUNCTION_MISSING")


def _long_varint(number: int) -> bytes:
    assert varint(number) == bytes([number])
    return bytes([number | 0x80, 0x80, 0x80, 0x80, 0x00])
