"""Rules of the code base: layers, sizes of modules and functions, and no file without a reader."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
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


def files_of_tests() -> list[Path]:
    found = sorted(ROOT.glob("tests/**/*.py"))
    return [path for path in found if "benchmarks" not in path.parts]


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


def test_no_module_has_a_vague_name():
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


def test_every_module_is_imported():
    """By another module, by a test or by an entry point: one that is not is dead."""
    texts = [path.read_text() for path in [*source_files(), *ROOT.glob("tests/**/*.py")]]
    readers = "\n".join([(ROOT / "pyproject.toml").read_text(), *texts])
    modules = [path for path in source_files() if path.stem not in ("__init__", "__main__")]
    found = [path for path in modules if is_imported(dotted(path), readers)]
    commands = {path for path in modules if path.parent.name == "cli"}  # COMMANDS names these.
    assert [name_of(path) for path in modules if path not in {*found, *commands}] == []
    assert is_imported("kvbench.clock", "from kvbench import (\n    clock,\n)")
    assert not is_imported("kvbench.clock", "from kvbench import errors\nclock = None")


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "backends" else parts)


def is_imported(module: str, readers: str) -> bool:
    package, _, name = map(re.escape, module.rpartition("."))
    imported = rf"{package}\.{name}\b|from {package} import (\([^)]*|[^\n(]*)\b{name}\b"
    return re.search(imported, readers) is not None


def is_used_by_tests(module: Path, readers: str) -> bool:
    """Whether tests import a module beside them, or run it by its file, its name or its path."""
    name = re.escape(module.stem)
    imports = rf"from (\.|[\w.]*\.){name} import|from [\w.]+ import (\([^)]*|[^\n(]*)\b{name}\b"
    runs = rf"\b{name}\.py\b|tests\.\w+\.{name}\b|\"{name}\""
    return re.search(rf"{imports}|^import {name}\b|{runs}", readers, re.MULTILINE) is not None


def test_every_module_beside_the_tests_is_used():
    found = files_of_tests()
    texts = {path: path.read_text() for path in [*found, ROOT / "noxfile.py"]}
    run_by_pytest = ("test_*", "conftest.py", "__init__.py", "__main__.py")
    unused = [
        name_of(path)
        for path in found
        if not any(fnmatch(path.name, pattern) for pattern in run_by_pytest)
        and not is_used_by_tests(
            path, "\n".join(text for place, text in texts.items() if place != path)
        )
    ]
    assert unused == []
    assert is_used_by_tests(Path("tests/waiting.py"), "from tests.waiting import wait_until")
    assert not is_used_by_tests(Path("tests/waiting.py"), "# waiting\nwaiting = 1")


READ_BY_TOOLS = (
    "*.py", ".ci/run", ".editorconfig", ".github/*", ".gitignore", ".pre-commit-config.yaml",
    "LICENSE", "MANIFEST.in", "README.md", "SECURITY.md", "action.yml", "noxfile.py",
    "pyproject.toml",
)  # fmt: skip
"""Files that a program or a reader looks for by a fixed name. Modules have a test above."""

READ_WHOLE = {
    "specs/vectors/*.json": "kvbench/specs.py",
    "specs/profiles/*.toml": "kvbench/conformance/profile.py",
}
"""Folders whose files are read without being named, and by which module."""


def unread(files: list[str], texts: dict[str, str]) -> list[str]:
    """The files that no document links to and no code names.

    Args:
        files: paths from the root.
        texts: the text of each file that can name others, by its path.
    """
    linked = set()
    for place, text in texts.items():
        for link in re.findall(r"\]\(([^)#]+)", text) if place.endswith(".md") else []:
            linked.add(os.path.normpath(Path(place).parent / link))
    code = {place: text for place, text in texts.items() if not place.endswith(".md")}

    def is_read(file: str) -> bool:
        name = rf"(?<![\w.-]){re.escape(Path(file).name)}(?![\w-])"
        return (
            any(fnmatch(file, pattern) for pattern in (*READ_BY_TOOLS, *READ_WHOLE))
            or file in linked
            or any(re.search(name, text) for place, text in code.items() if place != file)
        )

    return [file for file in files if not is_read(file)]


def test_every_file_has_a_reader():
    files = [name_of(path) for path in tracked_files()]
    suffixes = (".md", ".py", ".toml", ".yml", ".yaml", ".in", "run")
    texts = {file: (ROOT / file).read_text() for file in files if file.endswith(suffixes)}
    assert unread(files, texts) == []
    for pattern, reader in READ_WHOLE.items():
        assert Path(pattern).parent.name in texts[reader]


def test_a_file_without_a_reader_is_found():
    """A word that happens to be a file's stem, in prose or in code, is no reader of it."""
    files = ["reports/badge.svg", "reports/table.md", "data/used.csv", "data/unused.csv"]
    texts = {
        "README.md": "It draws a badge, badge.svg. [The table](reports/table.md).",
        "kvbench/badge.py": "def badge(): open('data/used.csv'); open('a-badge.svg')",
    }
    assert unread(files, texts) == ["reports/badge.svg", "data/unused.csv"]


def test_every_command_is_listed_and_every_listed_command_is_there():
    from kvbench.cli import COMMANDS

    files = {path.stem for path in ROOT.glob("kvbench/cli/*.py")} - {"__init__"}
    assert set(COMMANDS) <= files
    for stem in files - set(COMMANDS):
        used = [path for path in ROOT.glob("kvbench/cli/*.py") if f".{stem}" in path.read_text()]
        assert used, f"kvbench/cli/{stem}.py is no command and nobody imports it"


CLOCKS = re.compile(r"\b(monotonic|perf_counter|process_time|time)(_ns)?\(\)")


def time_bounds(source: str) -> list[int]:
    """The lines of assertions that something took less than some time.

    That it took at least so long is a fair demand: no machine is too fast for a timer.
    """
    tree = ast.parse(source)
    timed = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and CLOCKS.search(ast.unparse(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def is_timed(node: ast.expr) -> bool:
        names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        return bool(names & timed or CLOCKS.search(ast.unparse(node)))

    found = []
    for node in ast.walk(tree):
        for compare in ast.walk(node.test) if isinstance(node, ast.Assert) else []:
            if isinstance(compare, ast.Compare):
                sides = [compare.left, *compare.comparators]
                for left, operator, right in zip(sides, compare.ops, sides[1:], strict=False):
                    less, more = (ast.Lt, ast.LtE), (ast.Gt, ast.GtE)
                    if (isinstance(operator, less) and is_timed(left)) or (
                        isinstance(operator, more) and is_timed(right)
                    ):
                        found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", files_of_tests(), ids=name_of)
def test_no_test_fails_because_the_machine_is_busy(path):
    """Promises about time are in tests/benchmarks/; tests/waiting.py waits for what must happen."""
    assert time_bounds(path.read_text()) == []


def test_an_upper_bound_on_time_is_found():
    assert time_bounds("began = time.monotonic()\nassert time.monotonic() - began < 2") == [2]
    assert time_bounds("took = perf_counter() - began\nassert 1 < took < 2") == [2]
    assert time_bounds("took = perf_counter() - began\nassert 2 > took, 'slow'") == [2]
    assert time_bounds("took = perf_counter() - began\nassert took > 1 and count < 5") == []


def phantom_attributes(sources: list[str]) -> list[str]:
    """Attributes that the docstring of a class lists, and that neither it nor a base has."""
    nodes = [node for text in sources for node in ast.walk(ast.parse(text))]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]

    def members(node: ast.ClassDef) -> set[str]:
        found = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
        for one in ast.walk(node):
            targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
            names = [part for target in filter(None, targets) for part in ast.walk(target)]
            found |= {getattr(name, "id", getattr(name, "attr", "")) for name in names}
        bases = {ast.unparse(base).partition("[")[0] for base in node.bases} - {node.name}
        return found.union(*[members(one) for one in classes if one.name in bases])

    phantoms = []
    for node in classes:
        _, _, listed = (ast.get_docstring(node) or "").partition("\nAttributes:\n")
        names = re.findall(r"^    (\w+):", listed.partition("\n\n")[0], re.MULTILINE)
        phantoms += [f"{node.name}.{name}" for name in names if name not in members(node)]
    return phantoms


def test_documented_attributes_exist():
    assert phantom_attributes([path.read_text() for path in source_files()]) == []


def test_a_documented_attribute_that_is_missing_is_found():
    docstring = "A life.\n\n    Attributes:\n        there: is.\n        gone: is not.\n    "
    source = f'class Life:\n    """{docstring}"""\n    there: float\n'
    assert phantom_attributes([source]) == ["Life.gone"]


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
