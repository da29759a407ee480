"""The log of several processes as one."""

from __future__ import annotations

import os
import threading

from gradmill_server.serving.supervision.log_lines import LogLines


def test_lines_of_many_writers_stay_whole() -> None:
    """Lines longer than what a pipe takes at once come out whole, whoever else writes at the same time."""
    reading, writing = os.pipe()
    lines = LogLines(writing, lambda _: None)
    texts = [f"{letter}" * 20_000 + "\n" for letter in "abcdefgh"]
    threads = [threading.Thread(target=lines.write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    with open(reading, encoding="ascii") as file:  # noqa: PTH123 - a descriptor has no path
        assert sorted(file.readline() for _ in texts) == texts
    for thread in threads:
        thread.join()
    lines.drain(1.0)
    os.close(writing)


def test_nobody_waits_for_a_log_that_is_not_read() -> None:
    """While nobody reads, writers go on; what found no room is counted, and said once there is room again."""
    reading, writing = os.pipe()
    dropped: list[int] = []
    told = threading.Event()

    def tell(lines: int) -> None:
        dropped.append(lines)
        told.set()

    lines = LogLines(writing, tell)
    for _ in range(200):
        lines.write("x" * 99_999 + "\n")
    lines.drain(0.0)
    with open(reading, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        while not told.is_set():
            assert len(file.readline()) == 100_000
            lines.write("y" * 99_999 + "\n")
        assert sum(dropped) > 100
        reader = threading.Thread(target=file.read)
        reader.start()
        lines.drain(60.0)
        os.close(writing)
        reader.join()


def test_a_log_that_is_gone_ends_nothing() -> None:
    """Writing goes on without an error when whoever read the log has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    lines = LogLines(writing, lambda _: None)
    lines.write("one\n")
    lines.drain(60.0)
    lines.write("two\n")
    lines.drain(60.0)
    os.close(writing)
