"""What a user installs, and what a newcomer sees."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests import REPOSITORY

PACKAGES = {
    "gradmill": REPOSITORY / "client" / "gradmill",
    "gradmill_server": REPOSITORY / "server" / "gradmill_server",
}
TOP_LEVEL = {"LICENSE", "README.md", "client", "deploy", "proto", "pyproject.toml", "server", "tests"}
METADATA_FOLDER = ".dist-info"


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel and return the paths of the files in it, without those that describe the wheel itself."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    finished = subprocess.run(
        command, cwd=REPOSITORY, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if METADATA_FOLDER not in name.split("/")[0]}


def test_the_wheel_holds_both_packages_and_nothing_else(wheel_files: set[str]) -> None:
    """A user who installs gradmill gets every file of the two packages, and no other top-level name."""
    expected = {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wheel_files == expected


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_tells_type_checkers_that_it_is_typed(wheel_files: set[str], package: str) -> None:
    """A user's type checker reads the annotations of both packages."""
    assert f"{package}/py.typed" in wheel_files


def test_the_wheel_holds_the_grammar_of_formulas(wheel_files: set[str]) -> None:
    """Formulas can be read from an installed wheel, because the grammar, which is no Python file, is in it."""
    grammars = [name for name in wheel_files if name.endswith(".lark")]
    assert grammars
    assert all(name.startswith("gradmill_server/engine/formula/") for name in grammars)


def test_the_wheel_holds_the_messages_of_the_contract(wheel_files: set[str]) -> None:
    """A user needs no generator: the messages come with the client, with their types."""
    contracts = sorted((REPOSITORY / "proto" / "gradmill" / "v1").glob("*.proto"))
    messages = {f"gradmill/v1/{path.stem}_pb2{suffix}" for path in contracts for suffix in (".py", ".pyi")}
    assert messages <= wheel_files


def test_the_top_level_holds_only_what_a_newcomer_expects() -> None:
    """The first look at the repository shows a few well-known names; what builds leave behind is ignored by git."""
    ignored = [line.rstrip("/") for line in (REPOSITORY / ".gitignore").read_text("utf-8").split()]
    seen = {path.name for path in REPOSITORY.iterdir() if not path.name.startswith(".")}
    visible = {name for name in seen if not any(fnmatch(name, pattern) for pattern in ignored)}
    assert visible - TOP_LEVEL == set()
    assert {"README.md", "pyproject.toml", "client", "server", "proto", "tests"} <= visible


@pytest.mark.parametrize("folder", ["client", "server"])
def test_a_source_folder_holds_its_package_and_a_readme(folder: str) -> None:
    """Each source folder is only the home of its package."""
    (package,) = (path.name for path in PACKAGES.values() if path.parent.name == folder)
    seen = {path.name for path in Path(REPOSITORY, folder).iterdir() if not path.name.endswith(".egg-info")}
    assert seen - {"README.md", "__pycache__"} == {package}
