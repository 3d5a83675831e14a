"""Everything that CI runs, one session each: ``nox`` for all, ``nox -s tests`` for one.

Sessions run in the environment that nox itself is installed in (``pip install -e '.[dev]'``): one
install serves all of them, and what runs here is what a developer has. The codec is built before
anything that uses it, so that a compiled one is never older than its source.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nox

# Programs are those of nox's own environment, whether or not that one is activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
# Tests start hundreds of processes, and each would compile kvbench again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "build", "tests", "covered", "bench"]
nox.options.stop_on_first_error = True

PARALLEL = ("-n", "4", "--dist", "load", "--maxschedchunk", "1")
"""More than the two cores of a small machine: many tests wait for keys to expire."""

COVERED = {
    "kvbench/engine/*": ["tests/engine"],
    "kvbench/bench/estimate.py,kvbench/bench/cost_curve.py,kvbench/bench/gather.py": [
        "tests/bench/test_estimate.py",
        "tests/bench/test_cost_curve.py",
        "tests/bench/test_gather.py",
    ],
    "kvbench/server/*": ["tests/server"],
    "kvbench/client/*": ["tests/client"],
}
"""Files whose branches are covered to 95%, and the tests that have to do it alone.

These tests run in ``covered`` and nowhere else.
"""

COVERED_CODEC = {
    "kvbench/protocol/*": [
        "tests/protocol",
        "tests/specs/test_vectors.py",
        "tests/specs/test_vectors_dispatch.py",
    ],
}
"""The same for the codec in pure Python; ``tests`` runs these tests with the compiled one."""

DRAWN = (
    "tests/protocol", "tests/load", "tests/compare", "tests/test_results.py",
    "tests/test_foreign_text.py", "tests/cli/test_secrets.py",
)  # fmt: skip
"""Tests that draw examples: a quarter of them in the gate."""

FAILED = Path(".pytest_cache/v/cache/lastfailed")

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
"""Of this Python's compiled modules."""

PYTHONS = ("3.11", "3.12", "3.13")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and sizes of files: .pre-commit-config.yaml."""
    session.run("pre-commit", "run", "--all-files", env={"SKIP": "mypy"})


@nox.session
def types(session: nox.Session) -> None:
    """Static types, strictly."""
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Who may import whom (pyproject.toml, tool.importlinter)."""
    session.run("lint-imports")


@nox.session
def build(session: nox.Session) -> None:
    """Compile the codec in place, where a C compiler is there and a source is newer."""
    sources = [Path("setup.py"), *Path("kvbench/protocol").glob("*.py")]
    # This one holds the code; the others only load it, and are written once.
    library = Path(f"kvbench/protocol/codec__mypyc{SUFFIX}")
    if library.exists() and library.stat().st_mtime > max(one.stat().st_mtime for one in sources):
        session.skip("the compiled codec is newer than its source")
    session.run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", silent=True)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but those of ``covered`` alone; these, too, when they are named."""
    once = [path for paths in COVERED.values() for path in paths]
    ignored = [] if session.posargs else [f"--ignore={path}" for path in once]
    _run_tests(session, "pytest", *ignored)


@nox.session
def covered(session: nox.Session) -> None:
    """Engine, server, clients and statistics, and the pure codec, covered by their own tests.

    The codec's branches can be counted only in pure Python, as it is on a machine without a
    compiler.
    """
    for files, tests in COVERED.items():
        _cover(session, files, *tests, "--hypothesis-profile=whole")
    for files, tests in COVERED_CODEC.items():
        _cover(session, files, *tests, KVBENCH_PURE="1")


def _cover(session: nox.Session, files: str, *arguments: str, **environment: str) -> None:
    """Run tests under coverage; the branches of these files are to be covered to 95%."""
    session.run("coverage", "erase")
    command = ("coverage", "run", f"--include={files}", "-m", "pytest")
    _run_tests(session, *command, *arguments, **environment)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report", "--fail-under=95")


def _run_tests(session: nox.Session, *command: str, **environment: str) -> None:
    """Run tests side by side; then those that failed once more, alone.

    Tests of races and of time may fail beside others on a busy machine, and none does alone.
    The cache is cleared before: pytest takes failures of other tests for a reason to run all again.
    """
    some_failed = 1
    command = (*command, *session.posargs)
    first = (*command, *PARALLEL, "--cache-clear")
    session.run(*first, success_codes=[0, some_failed], env=environment)
    if FAILED.exists():
        session.run(*command, "--last-failed", env=environment)


@nox.session
def bench(session: nox.Session) -> None:
    """The engine's promises about speed, a sample of ``nox -s stalls``, a run of the main job."""
    command = ("pytest", "tests/benchmarks", "-o", "python_files=bench_*.py", "-rP")
    some_failed = 1
    session.run(*command, "--cache-clear", success_codes=[0, some_failed])
    if FAILED.exists():  # Once more: other work on the machine may hold up any benchmark.
        session.run(*command, "--last-failed")
    session.run("kvbench", "run", "--quick", "--batch-sizes", "10,100")


@nox.session
@nox.parametrize("version", [nox.param(version, id=version) for version in PYTHONS])
def fast(session: nox.Session, version: str) -> None:
    """The fast tests on each Python that this machine has, each in an environment of its own."""
    program = _python(version)
    if program is None:
        session.skip(f"there is no Python {version} on this machine")
    folder = Path(".nox") / f"fast-{version}"
    session.run(program, "-m", "venv", str(folder), external=True)
    python = str((folder / "bin" / "python").absolute())
    session.run(python, "-m", "pip", "install", "-q", "-e", ".[test]", external=True)
    chosen = ("-m", "not slow and not thorough")
    session.run(python, "-m", "pytest", *PARALLEL, *chosen, *session.posargs, external=True)


def _python(version: str) -> str | None:
    """The program of a Python version: on the path, or installed by pyenv, whose shims may fail."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    for program in [shutil.which(f"python{version}"), *map(str, installed)]:
        if program and subprocess.run([program, "--version"], capture_output=True).returncode == 0:
            return program
    return None


@nox.session
def thorough(session: nox.Session) -> None:
    """What the gate runs a shorter sample of: CI runs it every night."""
    _run_tests(session, "pytest", "-m", "thorough")
    _run_tests(session, "pytest", *DRAWN, "--hypothesis-profile=whole")


@nox.session
def stalls(session: nox.Session) -> None:
    """How long one client makes the others wait: the whole table of bench_stalls.py."""
    session.run("pytest", "tests/benchmarks/bench_stalls.py", "-m", "", "-rP", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """How often intervals hold what they estimate, by simulation: the table of docs/method.md."""
    session.run(sys.executable, "-m", "tests.method.coverage", *session.posargs)


@nox.session
def agreement(session: nox.Session) -> None:
    """Whether the default command gives the same answer eight times; wants a quiet machine."""
    session.run(sys.executable, "-m", "tests.method.agreement", *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Whether the wire suite kills servers with automatic faults: reports/conformance/mutation.md.

    Takes a quarter of an hour on two idle cores; the gate runs a sample of 50.
    """
    session.run(sys.executable, "-m", "tests.mutation", *session.posargs)


@nox.session
def load(session: nox.Session) -> None:
    """Capacity and percentiles of five stores: reports/load; wants a quiet machine, 15 minutes."""
    session.run(sys.executable, "-m", "tests.method.load_report", *session.posargs)


@nox.session
def load_agreement(session: nox.Session) -> None:
    """Whether load runs agree six times; wants a quiet machine, 5 minutes."""
    session.run(sys.executable, "-m", "tests.method.load_agreement", *session.posargs)


@nox.session
def celery(session: nox.Session) -> None:
    """Measure Celery's calls: the tables of reports/celery/; wants a quiet machine."""
    session.run(
        sys.executable, "docs/celery/measure.py", "--output", "reports/celery", *session.posargs
    )


@nox.session
def schema(session: nox.Session) -> None:
    """Write specs/results.schema.json anew from the types of kvbench.results."""
    from kvbench.results import results_schema

    Path("specs/results.schema.json").write_bytes(results_schema())


@nox.session
def pages(session: nox.Session) -> None:
    """Measure shortly and write the sample pages of reports/html; wants a quiet machine."""
    folder = Path("reports/html")
    work = Path(session.create_tmp())
    run, again, load = (work / f"{name}.jsonl" for name in ("run", "again", "load"))
    # A committed file has 100 kB at most: one operation.
    sizes = ("--batch-sizes", "10,100,1000", "--ops", "mget")
    for output in (run, again):
        session.run("kvbench", "run", "kvb://", *sizes, "--output", output)
    session.run("kvbench", "load", "kvb://", "--batch-size", "50", "--arm",
                "individual,pipelined,batch", "--clients", "4", "--output", load)  # fmt: skip
    for results in (run, load):
        page = folder / f"{results.stem}.html"
        session.run("kvbench", "report", results, "--format", "html", "--output", page)
    session.run("kvbench", "compare", run, again, "--html", folder / "compare.html", silent=True)
