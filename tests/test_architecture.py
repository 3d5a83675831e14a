"""The house stays in order: layers kept, rooms small, nothing lying about that nobody reads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

ROOT = Path(__file__).parent.parent
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def source_files() -> list[Path]:
    return sorted([*ROOT.glob("kvbench/**/*.py"), *ROOT.glob("backends/**/*.py")])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_layers_are_kept():
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", source_files(), ids=name_of)
def test_modules_are_small_and_say_what_they_are(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MODULE_LINES_MAX
    assert ast.get_docstring(tree), "a module opens with its theory and rules"
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in functions(tree)
        if node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long


def test_no_module_is_a_drawer():
    drawers = {"utils", "util", "helpers", "misc", "common"}
    assert not [name_of(path) for path in source_files() if path.stem in drawers]


def test_only_the_command_line_exits_or_prints():
    for path in source_files():
        if "cli" in path.parts or path.name in ("__main__.py", "local_server.py"):
            continue
        assert not re.search(r"sys\.exit\(|(?<![\w.])print\(", path.read_text()), name_of(path)


def test_commands_write_through_the_functions_that_clean_text():
    """kvbench.cli.output hides secrets and escapes; help and completion hold kvbench's own text."""
    own_text = {"output.py", "standard_streams.py", "completion.py", "__init__.py"}
    for path in ROOT.glob("kvbench/cli/*.py"):
        if path.name not in own_text:
            found = re.findall(
                r"click\.(?:echo|secho)|\bConsole\(|(?<![\w.])print\(", path.read_text()
            )
            assert not found, name_of(path)


def test_every_module_has_a_reader():
    """Each module is imported by another, named by an entry point, or run as a program."""
    readers = (ROOT / "pyproject.toml").read_text()
    for path in [*source_files(), *ROOT.glob("tests/**/*.py")]:
        readers += path.read_text()
    for path in source_files():
        if path.stem in ("__init__", "__main__") or path.parent.name == "cli":
            continue
        package = path.relative_to(ROOT).parent.as_posix().replace("backends/", "")
        package, module = re.escape(package.replace("/", ".")), path.stem
        imported = rf"{package}\.{module}\b|from {package} import [^\n]*\b{module}\b"
        assert re.search(imported, readers), f"nobody imports {name_of(path)}"


def test_every_file_has_a_reader():
    """Each tracked file is code, or is named by a document, a test or a configuration."""
    known = {".gitignore", "LICENSE", "README.md", "pyproject.toml", "setup.py", "noxfile.py"}
    texts = {
        path: path.read_text(errors="replace")
        for path in tracked_files()
        if path.suffix in (".md", ".py", ".toml", "") and path.stat().st_size < 1_000_000
    }
    for path in tracked_files():
        if path.suffix == ".py" or name_of(path) in known:
            continue
        in_folder = f"{path.parent.name}/*{path.suffix}"
        mentioned = [
            other
            for other, text in texts.items()
            if other != path and (path.name in text or in_folder in text or path.stem in text)
        ]
        assert mentioned, f"nobody reads {name_of(path)}"


def test_every_command_is_listed_and_every_listed_command_is_there():
    from kvbench.cli import COMMANDS

    files = {path.stem for path in ROOT.glob("kvbench/cli/*.py")} - {"__init__"}
    assert set(COMMANDS) <= files
    for stem in files - set(COMMANDS):
        used = [path for path in ROOT.glob("kvbench/cli/*.py") if f".{stem}" in path.read_text()]
        assert used, f"kvbench/cli/{stem}.py is no command and nobody imports it"


def code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_objects(constant)


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("kvbench/engine/*.py"), *ROOT.glob("kvbench/server/*.py")]),
    ids=name_of,
)
def test_the_interpreter_cannot_hang_in_a_handler_when_memory_runs_out(path):
    """Functions that handle errors are short in engine and server.

    When an error leaves a handler (``finally`` is one), CPython 3.11 to 3.13 pushes the place in
    the code as an int. Places up to 256 are ints that exist. Where a larger one cannot be
    allocated, the interpreter takes that for an error in the handler, at the same place, and so on
    for ever.
    """
    long = {
        code.co_qualname: len(code.co_code) // 2
        for code in code_objects(compile(path.read_text(), str(path), "exec"))
        if code.co_exceptiontable and code.co_name != "<module>" and len(code.co_code) // 2 > 257
    }
    assert not long
