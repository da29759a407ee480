"""The handlers of the tape machine: for each kind of record straight code over the lanes of a block, then a jump.

Threaded code (J. R. Bell, "Threaded Code", CACM 16, 1973): a handler ends by jumping to the next record's, found by its
kind in a table, and nothing returns to an interpreter loop until the last one. The accumulator travels in vector
registers, as arguments of the jump, so that a value which only the next record needs is never stored.

There is a set of handlers for each width of block; one tape runs on any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradmill_server.engine.backends.native.compiler import module_text
from gradmill_server.engine.backends.native.frame import (
    BYTES_PER_FIELD,
    DONE,
    FIELDS,
    FIELDS_PER_COLUMN,
    FRESH,
    GROUPS_OFFSET,
    PAUSED,
    Layout,
    offset_of,
)
from gradmill_server.engine.backends.native.handler_text import HandlerText, handler_of
from gradmill_server.engine.backends.native.levels import Level
from gradmill_server.engine.backends.native.llvm_text import LlvmFunctionText
from gradmill_server.engine.backends.native.records import (
    BOTH,
    CONSTANT,
    END,
    FIRST_COMPUTING,
    KINDS,
    LOAD,
    PAUSE,
    STORE,
    STORE_ACCUMULATOR,
    Expression,
    Kind,
    computes_once,
)
from gradmill_server.engine.backends.native.repeating import repeat_text
from gradmill_server.engine.backends.native.transfer import (
    load_handler,
    store_accumulator_handler,
    store_handler,
)
from gradmill_server.engine.element_types import ElementType
from gradmill_server.engine.lanes import Lanes, call_many
from gradmill_server.engine.ops import TABLE
from gradmill_server.engine.vector_math.pairs import PAIRS


def enter_symbol(lanes: int) -> str:
    """Return the symbol of what runs a frame, for a width of block."""
    return f"enter_{lanes}"


def table_symbol(lanes: int, layout: Layout) -> str:
    """Return the symbol of the table of handlers for a width of block and the layout of the caller's arrays."""
    return f"table_{lanes}_{layout}"


def library_text(level: Level) -> str:
    """Return the module of all handlers of a level, their tables, and the vector functions they call."""
    bodies: list[LlvmFunctionText] = []
    tables: list[str] = []
    for lanes in level.block_lanes:
        bodies += [handler for place, kind in enumerate(KINDS) for handler in _handlers(level, lanes, place, kind)]
        bodies.append(enter_function(LlvmFunctionText(level.width, level.element_type), lanes))
        bodies.append(repeat_text(LlvmFunctionText(level.width, level.element_type), lanes, enter_symbol(lanes)))
        tables += [_table(lanes, layout) for layout in Layout]
    return module_text(level, bodies, "\n".join(tables))


def _handlers(level: Level, lanes: int, place: int, kind: Kind) -> list[LlvmFunctionText]:
    """Return a kind's handler, or one for each layout."""
    if LOAD <= place < STORE_ACCUMULATOR:
        write, count = (load_handler, place - LOAD + 1) if place < STORE else (store_handler, place - STORE + 1)
        return [write(HandlerText(level, lanes, f"{kind.name}.{layout}"), layout, count) for layout in Layout]
    text = HandlerText(level, lanes, kind.name)
    special = {
        END: end_handler,
        PAUSE: pause_handler,
        CONSTANT: _constant,
        STORE_ACCUMULATOR: store_accumulator_handler,
    }
    if place in special:
        return [special[place](text)]
    if place < FIRST_COMPUTING:
        return [_both(text, place)]
    return [_computing(text, kind)]


def _table(lanes: int, layout: Layout) -> str:
    names = [
        kind.name + (f".{layout}" if LOAD <= place < STORE_ACCUMULATOR else "") for place, kind in enumerate(KINDS)
    ]
    pointers = ", ".join(f'ptr @"{lanes}.{name}"' for name in names)
    return f"@{table_symbol(lanes, layout)} = constant [{len(KINDS)} x ptr] [{pointers}]"


def _computing(text: HandlerText, kind: Kind) -> HandlerText:
    """Write the handler of an expression: every group in turn, in place where result and operand share a slot."""
    places = [text.slot() if word == "s" else text.constant() for word in kind.words]
    results = []
    for group in range(text.groups):
        leaves = iter(places)
        value = _evaluated(text, kind.expression, leaves, group)
        if kind.stores:
            text.store(value, str(places[-1]), group)
        results.append(value)
    return text.go_on(results).end()


def _evaluated(text: HandlerText, expression: Expression, leaves: Iterator[str | Lanes], group: int) -> Lanes:
    """Write the lanes of a group; the leaves are taken in the order in which they are written."""
    if expression == "a":
        return text.accumulator[group]
    if isinstance(expression, str):
        leaf = next(leaves)
        return leaf if isinstance(leaf, Lanes) else text.load(leaf, group)
    name, *parts = expression
    if computes_once(parts):
        once = _evaluated(text, parts[0], leaves, group)
        operands = [once, once]
    else:
        operands = [_evaluated(text, part, leaves, group) for part in parts]
    return operation_text(text, str(name), operands)


def operation_text(text: HandlerText, operation: str, operands: Sequence[Lanes]) -> Lanes:
    """Write an operation: as its row says, in the text's element type where the row allows, else in float64."""
    row = TABLE[operation]
    rule = row.lanes
    if rule is None:
        message = f"operation {operation!r} has no machine code, so no record may use it"
        raise ValueError(message)
    if row.direct or text.element_type is ElementType.FLOAT64:
        return rule(*operands)
    (result,) = text.computed_wide(lambda *wide: [rule(*wide)], operands)
    return result


def _constant(text: HandlerText) -> HandlerText:
    value, slot = text.constant(), text.slot()
    for group in range(text.groups):
        text.store(value, slot, group)
    return text.go_on().end()


def _both(text: HandlerText, place: int) -> HandlerText:
    """Write the handler of two functions of one argument."""
    (pair,) = (pair for pair, kind in BOTH.items() if kind == place)
    argument, *slots = [text.slot() for _ in range(3)]
    for group in range(text.groups):
        for value, slot in zip(call_many(PAIRS[pair], text.load(argument, group)), slots, strict=True):
            text.store(value, slot, group)
    return text.go_on().end()


def end_handler(text: HandlerText) -> HandlerText:
    """Write the end of a block: go on with the next one while there are points and the budget lasts."""
    left = _spend(text)
    row = text.write(f"add i64 {text.field('row')}, {text.lanes}")
    tape = text.field("tape", "ptr")
    text.set_field("row", row)
    text.set_field("record", tape, "ptr")
    more = text.write(f"icmp slt i64 {row}, {text.field('end')}")
    text.branch(more, "more", "done")
    text.open_block("done")
    text.set_field("state", str(DONE))
    text.lines.append("  ret void")
    text.open_block("more")
    return _jump_or_leave(text, left, tape)


def pause_handler(text: HandlerText) -> HandlerText:
    """Write a place within a long tape where a run may stop and go on later."""
    left = _spend(text)
    following = text.following()
    text.set_field("record", following, "ptr")
    return _jump_or_leave(text, left, following)


def _spend(text: HandlerText) -> str:
    """Take the cost of the records before, at every lane of the block, from the budget; return what is left."""
    cost = text.write(f"mul i64 {text.word()}, {text.lanes}")
    left = text.write(f"sub i64 {text.field('budget')}, {cost}")
    text.set_field("budget", left)
    return left


def _jump_or_leave(text: HandlerText, left: str, record: str) -> HandlerText:
    text.branch(text.write(f"icmp sgt i64 {left}, 0"), "next", "leave")
    text.open_block("leave")
    text.set_field("state", str(PAUSED))
    text.lines.append("  ret void")
    text.open_block("next")
    return text.jump(record).end()


def enter_function(text: LlvmFunctionText, lanes: int) -> LlvmFunctionText:
    """Write ``int64 enter(frame, budget)``, which runs a frame from C and returns the state it is left in."""
    text.lines.append(f'define i64 @"{enter_symbol(lanes)}"(ptr %frame, i64 %budget) {{')
    text.open_block("entry")
    places = {name: text.write(f"getelementptr i8, ptr %frame, i64 {offset_of(name)}") for name in FIELDS}
    text.lines.append(f"  store i64 %budget, ptr {places['budget']}")
    state = text.write(f"load i64, ptr {places['state']}")
    fresh = text.write(f"icmp eq i64 {state}, {FRESH}")
    text.branch(fresh, "fresh", "run")
    text.open_block("fresh")
    _find_arrays(text, places)
    text.lines.append("  br label %run")
    text.open_block("run")
    record, scratch, table, constants = (
        text.write(f"load ptr, ptr {places[name]}") for name in ("record", "scratch", "table", "constants")
    )
    handler = handler_of(text, record, table)
    pointers = f"ptr {record}, ptr {scratch}, ptr {table}, ptr %frame, ptr {constants}"
    accumulator = f", {text.lanes_type} zeroinitializer" * (lanes // text.width)
    text.lines.append(f"  call void {handler}({pointers}{accumulator})")
    state = text.write(f"load i64, ptr {places['state']}")
    text.lines += [f"  ret i64 {state}", "}"]
    return text


def _find_arrays(text: LlvmFunctionText, places: dict[str, str]) -> None:
    """Replace the addresses of Python's objects by those of their elements; a field of 0 stays."""
    offset = text.write(f"load i64, ptr {places['data_offset']}")
    groups = text.write(f"getelementptr i8, ptr %frame, i64 {GROUPS_OFFSET}")
    columns = text.write(f"load ptr, ptr {places['columns']}")
    runs = (
        (places["points"], "1", 1),
        (places["flags"], "1", 1),
        (groups, text.write(f"load i64, ptr {places['group_count']}"), 1),
        (columns, text.write(f"load i64, ptr {places['column_count']}"), FIELDS_PER_COLUMN),
    )
    before = "fresh"
    for number, (first, count, fields) in enumerate(runs):
        name = f"find{number}"
        text.lines.append(f"  br label %{name}")
        text.open_block(name)
        text.lines.append(f"  %{name}.at = phi i64 [ 0, %{before} ], [ %{name}.next, %{name}.step ]")
        more = text.write(f"icmp slt i64 %{name}.at, {count}")
        text.branch(more, f"{name}.body", f"{name}.end")
        text.open_block(f"{name}.body")
        bytes_on = text.write(f"mul i64 %{name}.at, {fields * BYTES_PER_FIELD}")
        place = text.write(f"getelementptr i8, ptr {first}, i64 {bytes_on}")
        found = text.write(f"load ptr, ptr {place}")
        nothing = text.write(f"icmp eq ptr {found}, null")
        text.branch(nothing, f"{name}.step", f"{name}.object")
        text.open_block(f"{name}.object")
        pointer = text.write(f"getelementptr i8, ptr {found}, i64 {offset}")
        elements = text.write(f"load ptr, ptr {pointer}")
        text.lines += [f"  store ptr {elements}, ptr {place}", f"  br label %{name}.step"]
        text.open_block(f"{name}.step")
        text.lines.append(f"  %{name}.next = add i64 %{name}.at, 1")
        text.lines.append(f"  br label %{name}")
        text.open_block(f"{name}.end")
        before = f"{name}.end"
