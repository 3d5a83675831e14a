"""A backend that kvbench has never heard of is checked from its own tests, with the built wheel.

``tests/foreign/third_party`` is a package of its own. Both wheels are built and installed into an
empty folder that stands first on the path, and the package's tests run outside of any checkout:
what they find is what a third party's CI would find.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.built_once import built_once
from tests.wheels import build_wheel, kvbench_wheel

ROOT = Path(__file__).parents[2]
THIRD_PARTY = ROOT / "tests" / "foreign" / "third_party"
SLOW = "a_hundred_thousand_keys"
"""Takes half a minute where each key is a file, and shows nothing about the plugin."""
TIMEOUT_S = 200

pytestmark = pytest.mark.timeout(2 * TIMEOUT_S)


def run(folder: Path, site: Path, *command: str | Path) -> tuple[int, str]:
    """Run Python with ``site`` first on its path; exit code and output."""
    environment = {**os.environ, "KVBENCH_PURE": "1", "PYTHONPATH": str(site)}
    ended = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, text=True, timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return ended.returncode, ended.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with kvbench and the third party's package, installed from wheels."""

    def install(folder: Path) -> Path:
        site = folder / "site"
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(THIRD_PARTY, folder / "pigeonhole", ignore=skip)
        wheels = [kvbench_wheel(folder), build_wheel(folder / "pigeonhole", folder / "wheels")]
        options = ("--no-deps", "--no-index", "-q", "--target", site)
        code, output = run(folder, site, "-m", "pip", "install", *options, *wheels)
        assert code == 0, output
        return site

    return built_once(tmp_path_factory, "third_party", install)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The package's tests alone: its modules come from the installed wheel."""
    shutil.copytree(THIRD_PARTY / "tests", tmp_path / "tests")
    return tmp_path


@pytest.mark.thorough
def test_what_is_tested_is_what_was_installed(site, project):
    ask = (
        "import kvbench, kvbench_backends, pigeonhole; print(kvbench.__file__, pigeonhole.__file__)"
    )
    code, output = run(project, site, "-c", ask)
    assert code == 0 and output.split() == [
        str(site / "kvbench" / "__init__.py"),
        str(site / "pigeonhole" / "__init__.py"),
    ]


@pytest.mark.thorough
def test_the_scheme_is_registered(site, project):
    code, output = run(project, site, "-m", "kvbench", "backends")
    assert code == 0 and "pigeonhole" in output, output


@pytest.mark.thorough
def test_the_command_line_checks_it_and_reports_come_with_the_wheel(site, project):
    files = {name: project / f"out.{name}" for name in ("html", "markdown", "junit", "badge")}
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    target = f"pigeonhole://{project / 'store'}"
    code, output = run(
        project, site, "-m", "kvbench", "check", target, "--only", "BGET-*", *options
    )
    assert code == 0 and "partial (subset)" in output, output
    assert all("BGET-001" in files[name].read_text() for name in ("html", "markdown", "junit"))
    assert "partial (subset)" in files["badge"].read_text()


def test_two_lines_run_the_suite_in_a_third_partys_tests(site, project):
    code, output = run(project, site, "-m", "pytest", "-q", "tests", "-k", f"not {SLOW}")
    assert code == 0, output
    assert "kvbench: partial (subset)" in output
    assert int(re.search(r"^(\d+) passed", output, re.MULTILINE).group(1)) > 50


@pytest.mark.thorough
def test_a_broken_backend_fails_with_the_clause_it_breaks(site, project):
    conftest = project / "tests" / "conftest.py"
    broken = """

class Broken(PigeonholeBackend):
    def delete(self, key):
        super().delete(key)
        return True


@pytest.fixture(scope="session")
def kvbench_backend():
    return lambda: Broken.open(f"pigeonhole://{FOLDER}")
"""
    conftest.write_text(conftest.read_text() + broken)
    code, output = run(project, site, "-m", "pytest", "-q", "tests", "-k", "backend.base")
    assert code == 1, output
    assert "BDEL-002 (MUST)" in output and "kvbench: does not conform" in output
