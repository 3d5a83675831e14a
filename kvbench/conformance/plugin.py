"""The conformance suite as a pytest plugin: one item for each case, for the CI of an author.

A server, or any store that kvbench has an adapter for, needs no code::

    pytest --pyargs kvbench.conformance --kvbench-target 127.0.0.1:16380
    pytest --pyargs kvbench.conformance --kvbench-target valkey:// --kvbench-profile mine.toml -n 2

A backend under development is named in the conftest.py of the directory where pytest is started,
by two lines (and their imports) that override a fixture::

    @pytest.fixture(scope="session")
    def kvbench_backend():
        return lambda: MyBackend.open("mine://localhost")

The fixture returns a function that opens the backend, as here: cases that need several users of the
store call it again. It can also return an open backend, which then has no other users and is closed
by the plugin, or a target's URL where the adapter is registered. An asynchronous adapter is opened
by ``BlockingBackend.over(MyAsyncBackend, url)``. ``pytest --pyargs kvbench.conformance`` now runs
the backend suite. To have it among the tests of a project, import it into one of their modules::

    from kvbench.conformance.test_conformance import test_conformance

What the verdicts become:

- failed, xpass: the item fails, with the explanation as its report.
- xfail, warning: xfail, with the reason; ``-rx`` lists them.
- unsupported, skipped: skipped, with the reason; ``-rs`` lists them.
- error: an error in the item's setup.

Each clause keeps the worst of its verdicts, and the run ends with one line: conforms (with so many
deviations), does not conform, partial (cases were deselected), or not verified. When nothing failed
but a MUST clause could not be looked at, or nothing was verified at all, pytest's exit code is 5,
never 0. Under pytest-xdist each worker opens the target for itself; ``kvb://`` then is a private
server for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from kvbench.conformance.seeds import RANDOM, SEED_DEFAULT, drawn
from kvbench.errors import KvbenchError
from kvbench.foreign_text import clean

if TYPE_CHECKING:
    from kvbench.backend import Backend
    from kvbench.conformance.case import Case, Suite
    from kvbench.conformance.profile import Profile
    from kvbench.conformance.runner import Runner
    from kvbench.conformance.target import Target
    from kvbench.verdicts import Verdict

_PROPERTY = "kvbench"
"""Under this name a report carries its verdicts from an xdist worker to the controller."""

_Told = list[list[str]]
"""Verdicts as a report can carry them: clause, level, case, outcome."""


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """A target that is checked, for the length of a pytest session."""

    runner: Runner
    profile: Profile

    def verdicts(self, case: Case) -> tuple[Verdict, ...]:
        """What a case says, in the light of the profile.

        Whether a declared deviation is gone hangs on all cases of its clause. They are looked at
        together, so that no item depends on what else runs, in which order, or in which worker.
        """
        from kvbench.conformance.profile import with_deviations

        declared = {clause for clause in case.clauses if self.profile.reason(clause)}
        related = [one for one in case.suite.cases if one is case or declared & set(one.clauses)]
        found = [verdict for one in related for verdict in self.runner.verdicts(one)]
        seen = with_deviations(found, self.profile)
        return clean(tuple([one for one in seen if one.case == case.name]))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, all of which begin with --kvbench."""
    group = parser.getgroup("kvbench", "kvbench conformance suite")
    group.addoption("--kvbench-target", metavar="URL", help="host:port, or a URL such as kvb://")
    group.addoption("--kvbench-profile", metavar="FILE", help="what the target declares")
    group.addoption(
        "--kvbench-suite",
        choices=["wire", "backend"],
        action="append",
        help="only this suite [all that can look at the target]",
    )
    group.addoption(
        "--kvbench-seed",
        metavar="TEXT",
        default=SEED_DEFAULT,
        help=f"of all that is random; `{RANDOM}` draws one [{SEED_DEFAULT}]",
    )
    group.addoption("--kvbench-rigorous", action="store_true", help="generated cases go deeper")
    group.addoption(
        "--kvbench-repro-dir",
        metavar="DIR",
        default="kvbench-failures",
        help="where failed conversations go, for `kvbench replay` [kvbench-failures]",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse wrong options before anything is collected; count what the items say."""
    if config.getoption("--kvbench-target") or config.getoption("--kvbench-profile"):
        try:
            _suites(config)
            _profile(config)
        except KvbenchError as error:
            raise pytest.UsageError(f"kvbench: {clean(str(error))}") from None
    given: dict[str, str] = getattr(config, "workerinput", {})
    config.option.kvbench_seed = given.get("kvbench_seed") or drawn(config.option.kvbench_seed)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Summary(), "kvbench-summary")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: pytest.Session) -> None:
    """Under xdist: every worker has the same seed."""
    node.workerinput["kvbench_seed"] = node.config.getoption("--kvbench-seed")  # type: ignore[attr-defined]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item for each case of the suites that can look at the target."""
    if "kvbench_case" not in metafunc.fixturenames:
        return
    from kvbench.conformance.selection import Selection, selected_cases

    suites = _suites(metafunc.config)
    found = selected_cases(suites, Selection(frozenset(suites)))
    metafunc.parametrize("kvbench_case", found, ids=[case.name for case in found])


@pytest.fixture(scope="session")
def kvbench_backend() -> None:
    """Override this one: a function that opens your backend, an open backend, or a URL."""
    return


@pytest.fixture(scope="session")
def kvbench_target_check(
    request: pytest.FixtureRequest, kvbench_backend: object
) -> Iterator[TargetCheck]:
    """The target, open, with all that is known of it. When it cannot be opened the session ends."""
    from kvbench.conformance.case import EFFORT_RIGOROUS
    from kvbench.conformance.runner import Options, Runner
    from kvbench.conformance.selection import Selection

    config = request.config
    try:
        profile = _profile(config)
        target = _open(config, kvbench_backend)
    except KvbenchError as error:
        _end(request.session, error)
    except Exception as error:
        # A fault of the backend under development: its traceback once, not once for each item.
        request.session.shouldfail = f"kvbench_backend raised {type(error).__name__}"
        raise
    with target:
        try:
            capabilities = _capabilities(target, profile, frozenset(_suites(config)))
        except KvbenchError as error:
            _end(request.session, error)
        options = Options(
            Selection(frozenset(_suites(config))),
            profile,
            config.getoption("--kvbench-seed"),
            EFFORT_RIGOROUS if config.getoption("--kvbench-rigorous") else 1,
            repro_directory=Path(config.getoption("--kvbench-repro-dir")),
        )
        yield TargetCheck(Runner(target, capabilities, options), profile)


@pytest.fixture
def kvbench_verdicts(
    request: pytest.FixtureRequest, kvbench_case: Case, kvbench_target_check: TargetCheck
) -> tuple[Verdict, ...]:
    """What the case says of its clauses. An error of the suite itself is an error here."""
    from kvbench.verdicts import Outcome

    verdicts = kvbench_target_check.verdicts(kvbench_case)
    if kvbench_target_check.runner.is_interrupted:
        raise KeyboardInterrupt
    reported = [[one.clause, one.level, one.case, one.verdict.value] for one in verdicts]
    request.node.user_properties.append((_PROPERTY, reported))
    for one in verdicts:
        if one.verdict is Outcome.ERROR:
            pytest.fail(f"the suite itself failed: {one.detail}", pytrace=False)
    return verdicts


def settle(verdicts: tuple[Verdict, ...]) -> None:
    """End the item as its verdicts say: fail, xfail, skip, or return."""
    from kvbench.conformance.selection import ledger
    from kvbench.verdicts import VIOLATIONS, Outcome, explain

    texts = {clause.id: clause.text for clause in ledger().values()}
    broken = [
        explain(same, texts)
        for outcome in sorted(VIOLATIONS)
        if (same := [one for one in verdicts if one.verdict is outcome])
    ]
    if broken:
        pytest.fail("\n\n".join(broken), pytrace=False)
    for one in verdicts:
        if one.verdict in (Outcome.XFAIL, Outcome.WARNING):
            pytest.xfail(f"{one.clause} ({one.level}) {one.verdict}: {one.detail}")
    idle = [one for one in verdicts if one.verdict in (Outcome.UNSUPPORTED, Outcome.SKIPPED)]
    if idle and len(idle) == len(verdicts):
        pytest.skip(f"{idle[0].verdict}: {idle[0].detail}")


class _Summary:
    """Sums up what all items said, wherever they ran."""

    def __init__(self) -> None:
        self._reported: dict[str, _Told] = {}
        self._summary = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the verdicts that a report carries."""
        for name, reported in report.user_properties:
            if name == _PROPERTY and isinstance(reported, list):
                self._reported[report.nodeid] = reported

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Nothing verified is no success."""
        if not self._reported:
            return
        from kvbench.verdicts import Outcome, Summary, Verdict, judge

        verdicts = [
            Verdict(clause, level, case, Outcome(outcome))
            for reported in self._reported.values()
            for clause, level, case, outcome in reported
        ]
        is_partial = _is_partial(verdicts)
        judged = judge("", (), tuple(verdicts), {}, (), 0.0, is_partial=is_partial)
        counts = [
            f"{level}: {', '.join([f'{number} {outcome}' for outcome, number in found.items()])}"
            for level, found in judged.counts.items()
        ]
        self._summary = f"kvbench: {judged.headline} ({'; '.join(counts)})"
        if judged.summary is Summary.UNVERIFIED and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The one line."""
        if self._summary:
            terminalreporter.write_line(self._summary)


def _is_partial(verdicts: list[Verdict]) -> bool:
    """Whether cases of the suites that ran were deselected."""
    from kvbench.conformance.suites import SUITES

    ran = {one.case for one in verdicts}
    suites = [suite for suite in SUITES if not ran.isdisjoint([one.name for one in suite.cases])]
    return any(case.name not in ran for suite in suites for case in suite.cases)


def _named(config: pytest.Config) -> str:
    """The target of the command line, its secrets filled in; empty when none is named."""
    from kvbench.registry import given_target

    return given_target(config.getoption("--kvbench-target") or "")


def _suites(config: pytest.Config) -> tuple[Suite, ...]:
    """The suites to run: those that can look at the target; without one, that of backends."""
    from kvbench.conformance.suites import BACKEND, SUITES, suite_named
    from kvbench.conformance.targets import check_suites

    names = config.getoption("--kvbench-suite")

    chosen = frozenset(map(suite_named, names)) if names else frozenset(SUITES)
    target = _named(config)
    return check_suites(target, chosen) if target else (BACKEND,)


def _profile(config: pytest.Config) -> Profile:
    """The profile that was named, or the one that kvbench has for the target's scheme."""
    from kvbench.conformance.profile import Profile, read_profile, shipped_profile
    from kvbench.conformance.selection import ledger
    from kvbench.registry import scheme_of

    named, target = config.getoption("--kvbench-profile"), _named(config)
    path = Path(named) if named else None
    if path is None and target and "://" in target:
        path = shipped_profile(scheme_of(target))
    return read_profile(path, ledger()) if path is not None else Profile()


def _capabilities(
    target: Target, profile: Profile, suites: frozenset[Suite]
) -> dict[Suite, frozenset[str]]:
    """What the target can do; what only a second opening could show is not looked at."""
    from kvbench.conformance.suites import BACKEND
    from kvbench.conformance.targets import discover
    from kvbench.model import Capability

    found = dict(discover(target, profile, suites).capabilities)
    if target.reopen is _cannot_reopen:
        found[BACKEND] -= {Capability.SHARED}
    return found


def _end(session: pytest.Session, error: KvbenchError) -> NoReturn:
    """Fail this item and end the session: every other item would say the same."""
    message = f"kvbench: {clean(str(error))}"
    session.shouldfail = message
    pytest.fail(message, pytrace=False)


def _open(config: pytest.Config, given: object) -> Target:
    """The target of the command line, or else what the fixture gave.

    Raises:
        KvbenchError: neither names one, or it cannot be opened.
    """
    from kvbench.backend import Backend
    from kvbench.conformance.target import Target
    from kvbench.conformance.targets import open_target
    from kvbench.declaration import declaration_problem
    from kvbench.errors import UsageError

    named = _named(config) or given
    if isinstance(named, str):
        return open_target(named, frozenset(_suites(config)))
    if given is None:
        raise UsageError("name a target: --kvbench-target URL, or override kvbench_backend")
    if isinstance(given, Backend):
        return Target(type(given).__name__, store=given, reopen=_cannot_reopen)
    if not callable(given):
        raise UsageError(f"kvbench_backend gives a {type(given).__name__}: return a function")

    def reopen() -> Backend:
        store = given()
        if not isinstance(store, Backend):
            raise UsageError(
                f"the function of kvbench_backend gives a {type(store).__name__}, not a Backend"
            )
        if problem := declaration_problem(type(store)):
            raise UsageError(problem)
        return store

    store = reopen()
    return Target(type(store).__name__, store=store, reopen=reopen)


def _cannot_reopen() -> Backend:
    from kvbench.errors import KvConnectionError

    raise KvConnectionError("kvbench_backend gave an open backend; a function could open another")
