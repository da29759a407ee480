"""Compiled objects on disk: found again, never trusted blindly, never needed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
from gradmill_server.engine.backends.native import library, object_cache
from gradmill_server.engine.backends.native.compiler import LoadedObject, compile_object
from gradmill_server.engine.backends.native.handlers import library_text
from gradmill_server.engine.backends.native.levels import LEVELS, Level, host_level

TEXT = "define i64 @answer() {\n  ret i64 42\n}\n"
_COMPILING = f"""
import time
from gradmill_server.engine.backends.native import object_cache
from gradmill_server.engine.backends.native.levels import LEVELS, host_level
compile_object = object_cache.compile_object
def slowly(text, level):
    print("compiled")
    time.sleep(0.5)
    return compile_object(text, level)
object_cache.compile_object = slowly
text = {TEXT!r}
object_cache.cached_object(text, lambda: text, host_level() or LEVELS[0])
"""
LEVEL = host_level() or LEVELS[0]
needs_native = pytest.mark.skipif(host_level() is None, reason="this processor runs none of the levels")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a cache of its own to the test."""
    path = tmp_path / "objects"
    monkeypatch.setenv(object_cache.CACHE_VARIABLE, str(path))
    return path


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count what is really compiled."""
    compiled: list[str] = []
    original = compile_object

    def counting(text: str, level: Level) -> bytes:
        compiled.append(text)
        return original(text, level)

    monkeypatch.setattr(object_cache, "compile_object", counting)
    return compiled


def test_an_object_is_compiled_once(folder: Path, compilations: list[str]) -> None:
    """The second start loads what the first compiled."""
    first = object_cache.cached_object(TEXT, lambda: TEXT, LEVEL)
    assert object_cache.cached_object(TEXT, lambda: TEXT, LEVEL) == first
    assert len(compilations) == 1
    assert len(list(folder.glob("*.o"))) == 1
    assert not list(folder.glob(".new-*"))


def test_processes_that_start_together_compile_once(folder: Path) -> None:
    """Of several processes that need an object that is not there, one compiles it and the others wait for that."""
    processes = [
        subprocess.Popen([sys.executable, "-c", _COMPILING], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    written = [process.communicate()[0] for process in processes]
    assert sorted(written) == ["", "", "compiled\n"]
    assert len(list(folder.glob("*.o"))) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_what_cannot_be_kept_is_said_and_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """On a full or read-only disk an object is used all the same; a warning says why it is not kept, and it counts."""

    def fail(**_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "mkstemp", fail)
    before = object_cache.objects_not_kept()
    assert object_cache.cached_object(TEXT, lambda: TEXT, LEVEL)
    assert object_cache.objects_not_kept() == before + 1
    assert f"not kept in {folder}: {os.strerror(number)}" in caplog.text
    assert not list(folder.glob("*.o"))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "writable", "link"])
def test_a_file_that_cannot_be_trusted_is_compiled_anew(
    folder: Path, compilations: list[str], damage: str, tmp_path: Path
) -> None:
    """A damaged file, or one that somebody else could have written, is never loaded."""
    sound = object_cache.cached_object(TEXT, lambda: TEXT, LEVEL)
    (path,) = folder.glob("*.o")
    content = path.read_bytes()
    match damage:
        case "flip":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "empty":
            path.write_bytes(b"")
        case "writable":
            path.chmod(0o666)
        case _:
            elsewhere = tmp_path / "elsewhere.o"
            elsewhere.write_bytes(content)
            path.unlink()
            path.symlink_to(elsewhere)
            elsewhere.chmod(0o666)
    assert object_cache.cached_object(TEXT, lambda: TEXT, LEVEL) == sound
    assert len(compilations) == 2


def test_a_folder_that_is_not_ours_alone_is_not_used(
    folder: Path, compilations: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is kept where others can write, as it would never be run; a warning names the folder."""
    folder.mkdir()
    folder.chmod(0o775)
    for _ in range(2):
        object_cache.cached_object(TEXT, lambda: TEXT, LEVEL)
    assert len(compilations) == 2
    assert not list(folder.iterdir())
    assert str(folder) in caplog.text


@needs_native
def test_threads_that_begin_together_share_one_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads make the first program of a process, the handlers are loaded once, and stay."""
    monkeypatch.setattr(library, "_LOADED", {})
    with ThreadPoolExecutor(4) as threads:
        libraries = set(threads.map(library.library, [LEVEL] * 8))
    assert len(libraries) == 1


@needs_native
def test_sources_that_changed_under_a_process_are_not_what_it_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str]
) -> None:
    """Handlers are never kept under the name of sources that this process has not read."""
    monkeypatch.setattr(library, "_LOADED", {})
    monkeypatch.setattr(library, "library_text", lambda _level: TEXT)
    before = library.origin_of(LEVEL)
    monkeypatch.setattr(library, "_origin", lambda: "those of another version")
    after = library.origin_of(LEVEL)
    assert len(before) == 64
    assert after == TEXT
    assert not compilations
    assert not folder.exists()


def test_another_level_or_text_is_another_object(folder: Path, compilations: list[str]) -> None:
    """What an object depends on is part of its name."""
    other = next(level for level in LEVELS if level is not LEVEL)
    object_cache.cached_object(TEXT, lambda: TEXT, LEVEL)
    object_cache.cached_object(TEXT, lambda: TEXT, other)
    changed = TEXT.replace("42", "43")
    object_cache.cached_object(changed, lambda: changed, LEVEL)
    assert len(compilations) == len(list(folder.glob("*.o"))) == 3


def test_no_place_to_write_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str]
) -> None:
    """Where the folder cannot be made, or none is wanted, objects are compiled and used all the same."""
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    for place in (str(occupied / "objects"), ""):
        monkeypatch.setenv(object_cache.CACHE_VARIABLE, place)
        assert object_cache.cached_object(TEXT, lambda: TEXT, LEVEL)
    assert len(compilations) == 2


def test_a_missing_symbol_is_an_error_and_no_crash(folder: Path) -> None:
    """Asking an object for what it has not got says so, where LLVM would answer with address zero."""
    loaded = LoadedObject(object_cache.cached_object(TEXT, lambda: TEXT, LEVEL))
    assert loaded.address("answer")
    with pytest.raises(LookupError, match="question"):
        loaded.address("question")
    assert folder.is_dir()


@pytest.mark.parametrize("level", LEVELS, ids=[level.name for level in LEVELS])
def test_handlers_compile_for_every_level(level: Level) -> None:
    """The handlers of every level become an object of that platform, with code in it."""
    content = compile_object(library_text(level), level)
    machine = int.from_bytes(content[18:20], "little")
    assert content[:4] == b"\x7fELF"
    assert machine == (183 if level.name == "aarch64" else 62)
    assert len(content) > 4_000
    text = library_text(level)
    assert " fast " not in text
    assert "contract" not in text
