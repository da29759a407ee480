"""Records of the array tape: whatever a word says, nothing outside a tape's memory is read or written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from gradmill_server.engine.backends.native.addresses import address_of
from gradmill_server.engine.backends.native.array_tape import linked as linked_module
from gradmill_server.engine.backends.native.array_tape.assembler import Wanted, assemble_arrays
from gradmill_server.engine.backends.native.array_tape.library import array_library
from gradmill_server.engine.backends.native.array_tape.linked import Arrays, LinkedTape
from gradmill_server.engine.backends.native.array_tape.linking import link_arrays
from gradmill_server.engine.backends.native.array_tape.records import (
    END,
    KINDS,
    MAPS,
    PAUSE,
    PRODUCT_SLOTS,
    PRODUCT_UNIFORM,
)
from gradmill_server.engine.backends.native.array_tape.writer import ArrayTape
from gradmill_server.engine.backends.native.levels import LEVELS
from gradmill_server.engine.backends.native.linking import BrokenTape
from gradmill_server.engine.ir import GraphBuilder, Input
from gradmill_server.engine.limits import Limits
from gradmill_server.engine.ops import emit

from tests.engine.building import no_checkpoint
from tests.engine.native.array_graphs import put
from tests.engine.native.guarded import GuardedWorkspace, guarded, guarded_bytes
from tests.engine.native.running import HOST_LEVELS

ROWS = 19
SOURCES, TARGETS = (6, 4), (12, 3)

pytestmark = pytest.mark.skipif(not HOST_LEVELS, reason="this processor runs none of the levels there is code for")


def sound_tape() -> ArrayTape:
    """Return a tape with a record of every sort: maps with one to three operands, moves, products and sums."""
    builder = GraphBuilder([Input("x", (2, 3)), Input("y", (4,)), Input("w", (3, 2))])
    product = put(builder, "matrix_product", 0, 2)
    square = put(builder, "matrix_product", product, put(builder, "reshape", 1, shape=(2, 2)))
    taken = put(builder, "take", square, indices=(1, 0, 1), index_shape=(3,), axis=0)
    spread = put(builder, "put", taken, indices=(2, 0, 2), index_shape=(3,), axis=0, extent=3)
    both = [emit(builder, name, (spread,)) for name in ("sin", "cos")]
    chosen = emit(builder, "where", (*both, builder.constant(0.5)))
    shown = put(builder, "concatenate", chosen, spread, axis=1)
    outer = emit(
        builder, "multiply", (put(builder, "reshape", 1, shape=(4, 1)), put(builder, "reshape", 0, shape=(1, 6)))
    )
    total = put(builder, "sum", shown, axes=(1,))
    half = builder.build([]).nodes
    constants = {index: 7 for index, name in enumerate(half.operations) if name == "constant"}
    wanted = Wanted({2: 1, **constants}, 8, (0, 1), (shown, total), (outer, square, total))
    return assemble_arrays(builder.build([]), wanted, no_checkpoint)


@pytest.fixture
def fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scratch end where forbidden memory begins."""
    monkeypatch.setattr(linked_module, "take_workspace", GuardedWorkspace)
    monkeypatch.setattr(linked_module, "give_back", lambda _workspace: None)


def run(tape: ArrayTape, level_number: int = 0, rows: int = ROWS) -> list[np.ndarray]:
    """Run a tape between forbidden pages; return its results."""
    random = np.random.default_rng(0)
    points = [guarded((rows, columns)) for columns in SOURCES]
    results = [guarded((rows, columns)) for columns in TARGETS]
    table = guarded(tape.uniforms)
    for array in (*points, table):
        array[...] = random.normal(size=array.shape)
    linked = LinkedTape(tape, array_library(HOST_LEVELS[level_number]).sets)
    flags = guarded_bytes(rows)
    arrays = Arrays(
        [field for array in points for field in (address_of(array), array.strides[0])],
        [address_of(array) for array in results],
        [field for array in results for field in (array.strides[0], 1)],
        address_of(flags),
    )
    totals = linked.run(rows, arrays, table, Limits(), no_checkpoint)
    return [*results, totals]


def _is_refused(tape: ArrayTape) -> bool:
    try:
        link_arrays(tape, 64)
    except BrokenTape:
        return True
    return False


def test_the_sound_tape_has_records_of_every_sort() -> None:
    """What the tests below break is a tape of all kinds that are no maps, and of maps of every number of operands."""
    tape = sound_tape()
    kinds = set(tape.words[tape.begins].tolist())
    assert set(range(PRODUCT_UNIFORM + 1)) - kinds <= {PAUSE}
    assert {len(KINDS[kind].operands) for kind in kinds if KINDS[kind].operation} == {1, 2, 3}
    assert tape.sources == SOURCES
    assert tape.targets == TARGETS


@pytest.mark.usefixtures("fenced")
def test_a_word_that_would_leave_memory_is_refused_and_any_other_is_harmless() -> None:
    """Whatever one word of a tape is changed to, the tape is refused or runs within its memory."""
    tape = sound_tape()
    run(tape)
    refused = 0
    last = [tape.slots - 1, tape.slots, tape.uniforms, tape.sums, len(tape.tables)]
    for place in range(len(tape.words)):
        for value in (-1, 0, 1, 2, 3, 5, *last, -tape.slots, 10**6, -(10**6), 2**31 - 1, -(2**31)):
            words = tape.words.copy()
            words[place] = value
            if (
                place in tape.begins
                and 0 <= value < len(KINDS)
                and KINDS[value].length != KINDS[tape.words[place]].length
            ):
                continue  # refused, as records no longer follow one another: see below
            changed = tape._replace(words=words)
            if _is_refused(changed):
                refused += 1
            else:
                run(changed, rows=3 + place % 17)
    assert refused > len(tape.words)


@pytest.mark.usefixtures("fenced")
@pytest.mark.parametrize("seed", range(4))
def test_a_tape_of_changed_words_is_refused_or_harmless(seed: int) -> None:
    """However many words are changed at once, the tape is refused or runs within its memory."""
    random = np.random.default_rng(seed)
    tape = sound_tape()
    others = np.setdiff1d(np.arange(len(tape.words)), tape.begins)
    ran = 0
    for _ in range(400):
        words = tape.words.copy()
        chosen = random.choice(others, size=int(random.integers(1, 5)))
        words[chosen] = random.integers(-3, 12, size=len(chosen))
        tables = tape.tables.copy()
        tables[random.integers(len(tables))] = random.integers(-2, tape.slots + 2)
        changed = tape._replace(words=words, tables=tables)
        if not _is_refused(changed):
            run(changed, seed % len(HOST_LEVELS))
            ran += 1
    assert 20 < ran < 400


def _changed(tape: ArrayTape, kind: int, word: int, value: int) -> ArrayTape:
    words = tape.words.copy()
    begin = int(tape.begins[tape.words[tape.begins] == kind][0])
    words[begin + word] = value
    return tape._replace(words=words)


def _broken(tape: ArrayTape) -> dict[str, ArrayTape]:
    """Return tapes that are broken in one place each, with what is wrong."""
    first_map = next(kind for kind in tape.words[tape.begins].tolist() if kind in MAPS.values())
    without_end = tape._replace(words=tape.words[:-2], begins=tape.begins[:-1])
    return {
        "kind of a record": _changed(tape, END, 0, len(KINDS)),
        "order of records": without_end,
        "number of elements": _changed(tape, first_map, 1, 0),
        "place of a slot": _changed(tape, PRODUCT_SLOTS, 9, tape.slots),
        "place of a constant": _changed(tape, PRODUCT_UNIFORM, 13, tape.uniforms),
        "place of a sum": _changed(tape, 7, 4, -1),
        "place of a table": _changed(tape, 4, 4, len(tape.tables)),
        "place of a tile": _changed(tape, 2, 2, 1),
        "number of an array": _changed(tape, 3, 1, 2),
        "size of scratch": tape._replace(slots=2**26),
    }


BROKEN = ("kind of a record", "order of records", "number of elements", "place of a slot", "place of a constant")
BROKEN_TOO = ("place of a sum", "place of a table", "place of a tile", "number of an array", "size of scratch")


@pytest.mark.parametrize("part", [*BROKEN, *BROKEN_TOO])
def test_a_broken_tape_says_what_is_broken(part: str) -> None:
    """Every check of a tape names what it found."""
    tape = sound_tape()
    link_arrays(tape, 576)
    with pytest.raises(BrokenTape, match=part):
        link_arrays(_broken(tape)[part], 576)


def test_records_that_do_not_follow_one_another_are_refused() -> None:
    """A tape whose records overlap, leave a gap or begin elsewhere never runs."""
    tape = sound_tape()
    empty: Sequence[int] = ()
    for begins in (tape.begins + 1, tape.begins[1:], np.delete(tape.begins, 2), np.array(empty, dtype=np.int64)):
        with pytest.raises(BrokenTape, match=r"order of records|kind of a record"):
            link_arrays(tape._replace(begins=begins), 576)


def test_handlers_compile_for_every_level() -> None:
    """The handlers of every level become an object of that platform; nothing in them may be contracted."""
    from gradmill_server.engine.backends.native.array_tape.handlers import array_library_text  # noqa: PLC0415
    from gradmill_server.engine.backends.native.compiler import compile_object  # noqa: PLC0415

    for level in LEVELS:
        text = array_library_text(level)
        content = compile_object(text, level)
        assert content[:4] == b"\x7fELF"
        assert int.from_bytes(content[18:20], "little") == (183 if level.name == "aarch64" else 62)
        assert " fast " not in text
        assert "contract" not in text
