"""Everything that CI runs, one session each: ``nox`` for all, ``nox -s tests`` for one.

Sessions run in the environment that nox itself is installed in (``pip install -e '.[dev]'``): one
install serves all of them, and what runs here is what a developer has. The codec is built anew
before anything else, so that a compiled one is never older than its source.
"""

import os
import sys
from pathlib import Path

import nox

# Programs are those of nox's own environment, whether or not that one is activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "build", "tests", "pure", "bench"]
nox.options.stop_on_first_error = True


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


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
    """Compile the codec in place, where a C compiler is there."""
    session.run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", silent=True)


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite, with the codec that this machine has: two files at a time.

    Most tests wait for processes that they start, so two at a time take little more than half.
    """
    session.run("pytest", "-n", "2", "--dist", "loadfile", *session.posargs)


@nox.session
def pure(session: nox.Session) -> None:
    """Codec, server and clients again in pure Python, as on a machine without a compiler."""
    session.run(
        "pytest", "tests/protocol", "tests/specs", "tests/server", "tests/client",
        *session.posargs, env={**os.environ, "KVBENCH_PURE": "1"},
    )  # fmt: skip


@nox.session
def bench(session: nox.Session) -> None:
    """The engine's promises about speed, waits beside a greedy client, a run of the main job.

    Each event loop and each codec stands once among the waits; ``nox -s stalls`` takes all pairs.
    """
    pairs = "not stalls or (uvloop and compiled) or (asyncio and pure)"
    session.run("pytest", "tests/benchmarks", "-o", "python_files=bench_*.py", "-rP", "-k", pairs)
    session.run("kvbench", "run", "--quick", "--batch-sizes", "10,100")


@nox.session
def stalls(session: nox.Session) -> None:
    """How long one client makes the others wait: the whole table of bench_stalls.py."""
    session.run("pytest", "tests/benchmarks/bench_stalls.py", "-rP", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """How often intervals hold what they estimate, by simulation: the table of docs/method.md."""
    session.run(sys.executable, "-m", "tests.method.coverage", *session.posargs)


@nox.session
def agreement(session: nox.Session) -> None:
    """Whether the default command gives the same answer eight times; wants a quiet machine."""
    session.run(sys.executable, "-m", "tests.method.agreement", *session.posargs)


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
