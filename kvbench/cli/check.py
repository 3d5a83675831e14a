"""``kvbench check``: does a target conform to the protocol and the backend contract?

This module checks the command line, opens the targets one after the other, and turns the findings
into reports and an exit code.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench.cli.parameters import TargetType
from kvbench.conformance.seeds import RANDOM, SEED_DEFAULT, drawn
from kvbench.errors import UrlError, UsageError
from kvbench.registry import HOST_PORT
from kvbench.report.formats import VERDICTS_FORMATS

if TYPE_CHECKING:
    from kvbench.cli.check_run import CheckRequest, CheckRun
    from kvbench.conformance.selection import Selection

_LEVELS = {"must": ("MUST",), "should": ("MUST", "SHOULD"), "may": ("MUST", "SHOULD", "MAY")}

_FILE = click.Path(path_type=Path, dir_okay=False)


def _file_options(command: Callable[..., None]) -> Callable[..., None]:
    """An option with a file name for each report format."""
    for name, one in reversed([*VERDICTS_FORMATS.items()]):
        option = click.option(f"--{name}", type=_FILE, metavar=one.metavar, help=one.help)
        command = option(command)
    return command


class _CheckCommand(click.Command):
    """``--json`` without a file prints, as in every other command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Whether ``--json`` has no file: nothing follows, or an option or a target does."""
        for place, word in enumerate(args):
            following = args[place + 1 : place + 2]
            if word == "--json" and not any(map(_is_file, following)):
                args = [*args[:place], "--json=-", *args[place + 1 :]]
        return super().parse_args(ctx, args)


def _is_file(word: str) -> bool:
    if word.startswith("-"):
        return word == "-"
    return "://" not in word and not HOST_PORT.fullmatch(word)


@click.command(
    cls=_CheckCommand,
    epilog="""\b
Examples:
  kvbench check kvb://
  kvbench check 127.0.0.1:16380 --level must --json verdicts.json
  kvbench check 127.0.0.1:16380 --only 'MGET-*' --only GET-001
  kvbench check memory:// valkey:// sqlite:///tmp/cache.db --html matrix.html
  kvbench check 127.0.0.1:16380 --write-profile profile.toml
  kvbench check 127.0.0.1:16380 --quick --watch
  kvbench check 127.0.0.1:16380 --restart-command './my-server --port 16380'
  kvbench check a:1 b:2 --profile a:1=a.toml --profile b:2=b.toml

A server that dies or hangs in a case ends the check with that finding. With --restart-command it
is started again and the check goes on. What the check has started ends with it; a server that hangs
and was started otherwise, COMMAND has to end.

Ctrl-C ends a check early: findings so far are reported, the rest is skipped. Twice: at once.

A killed check leaves the keys of the case that was running, all under kvbench-check:. Where the
store has TTLs they expire after an hour, except those of clauses about keys without a TTL: usually
a handful, at most 3000. The 100,000 of the largest batch have a TTL.

Exit codes: 0 conforms, 1 does not, 2 usage, 3 not verified, 4 target unreachable or the suite
itself failed, 130 Ctrl-C. With several targets, the first of 1, 4, 3, 0 that occurs.
""",
)
@click.argument("targets", nargs=-1, required=True, type=TargetType(), metavar="TARGET...")
@click.option(
    "--suite",
    "suites",
    type=click.Choice(["wire", "backend"]),
    multiple=True,
    help="Run only this suite. [all that can check the target]",
)
@click.option(
    "--only", multiple=True, metavar="PATTERN", help="Clauses such as 'MGET-*'; repeatable."
)
@click.option(
    "--level",
    type=click.Choice(list(_LEVELS)),
    default="may",
    show_default=True,
    help="Lowest level to check; may means all.",
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    type=TargetType(),
    metavar="[TARGET=]FILE",
    help="The target's profile; TARGET=FILE with several targets.",
)
@click.option("--no-profile", is_flag=True, help="Do not use the profiles shipped with kvbench.")
@click.option(
    "--write-profile", type=_FILE, metavar="FILE", help="Write a profile from the findings."
)
@click.option("--force", is_flag=True, help="Let --write-profile replace FILE.")
@_file_options
@click.option(
    "--repro-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Directory for failed conversations, for `kvbench replay`. [kvbench-failures]",
)
@click.option(
    "--restart-command",
    default="",
    metavar="COMMAND",
    help="Starts the server of HOST:PORT where none listens, and again where it dies or hangs.",
)
@click.option("--quick", is_flag=True, help="In 5 s: MUST alone, of each clause the first case.")
@click.option(
    "--watch",
    "is_watching",
    is_flag=True,
    help="Check again what failed, each time the server of HOST:PORT comes back.",
)
@click.option("--rigorous", is_flag=True, help="Ten times more generated cases: takes minutes.")
@click.option(
    "--seed",
    metavar="TEXT",
    default=SEED_DEFAULT,
    show_default=True,
    help=f"Seed of all randomness: the same seed gives the same verdicts; `{RANDOM}` draws one.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    targets: tuple[str, ...],
    suites: tuple[str, ...],
    only: tuple[str, ...],
    level: str,
    profiles: tuple[str, ...],
    no_profile: bool,
    write_profile: Path | None,
    force: bool,
    repro_dir: Path | None,
    restart_command: str,
    quick: bool,
    is_watching: bool,
    rigorous: bool,
    seed: str,
    **files: Path | None,
) -> None:
    """Check whether each TARGET conforms to the clauses that apply to it.

    TARGET is HOST:PORT of a server in any language (the wire suite), the URL of a backend such as
    memory:// or valkey:// (the backend suite; `kvbench backends` lists them), or kvb://HOST:PORT
    for both. kvb:// alone starts a private server. A password is never shown; ${NAME} in its place
    is read from the environment: 'redis://:${REDIS_PASSWORD}@host'.

    A live store is safe: the suite checks everything before it is sent, and writes only keys that
    begin with kvbench-check: and ten random letters. It removes them.
    """
    from kvbench.cli import EXIT_UNREACHABLE
    from kvbench.cli.check_files import Outputs, check_profile_file, write_profile_file
    from kvbench.cli.check_run import CheckRequest, run_check
    from kvbench.cli.check_watch import watch
    from kvbench.conformance.case import EFFORT_RIGOROUS
    from kvbench.conformance.wire.repro import DIRECTORY

    if quick and (rigorous or level != "may"):
        raise UsageError("--quick checks MUST alone: leave out --level and --rigorous")
    _check_server_options(targets, restart_command, is_watching=is_watching)
    selection = _selection(targets, suites, only, "must" if quick else level)
    selection = replace(selection, is_quick=quick)
    outputs = Outputs({name: path for name, path in files.items() if path is not None})
    outputs.check()
    if write_profile is not None:
        check_profile_file(write_profile, targets, force=force)
    request = CheckRequest(
        targets=targets,
        selection=selection,
        profiles=_profile_files(profiles, targets, no_profile),
        effort=EFFORT_RIGOROUS if rigorous else 1,
        seed=drawn(seed),
        repro_directory=repro_dir or Path(DIRECTORY),
        restart_command=restart_command,
    )

    def check(request: CheckRequest) -> CheckRun:
        run = run_check(request)
        try:
            _print(run, to_stderr=outputs.use_stdout)
        finally:
            # The files are written even if standard output is full.
            outputs.write(run.conformance)
            if write_profile is not None:
                write_profile_file(write_profile, run)
        return run

    last = watch(request, check) if is_watching else check(request)
    ctx.exit(last.exit_code if last is not None else EXIT_UNREACHABLE)


def _check_server_options(
    targets: tuple[str, ...], restart_command: str, *, is_watching: bool
) -> None:
    """Refuse what is about the process of one server, for anything else."""
    is_address = len(targets) == 1 and HOST_PORT.fullmatch(targets[0])
    if restart_command and not is_address:
        raise UsageError("--restart-command takes one target, HOST:PORT: it starts that server")
    if is_watching and not is_address:
        raise UsageError("--watch takes one target, HOST:PORT: it watches that server")
    if is_watching and restart_command:
        raise UsageError("--watch and --restart-command exclude each other: choose one")


def _selection(
    targets: tuple[str, ...], suites: tuple[str, ...], only: tuple[str, ...], level: str
) -> Selection:
    """The request, if it can be carried out.

    Raises:
        UsageError: an invalid or repeated target, a suite that cannot check a target, or a pattern
            that matches no clause.
    """
    from kvbench.conformance.profile import nearest
    from kvbench.conformance.selection import Selection, ledger
    from kvbench.conformance.suites import SUITES, suite_named
    from kvbench.conformance.targets import check_suites

    for place, target in enumerate(targets):
        if target in targets[:place]:
            raise UrlError(target, "the target is given twice")
    chosen = frozenset(map(suite_named, suites)) or frozenset(SUITES)
    possible = frozenset([suite for one in targets for suite in check_suites(one, chosen)])
    levels = frozenset(_LEVELS[level])
    for pattern in only:
        alone = Selection(possible, (pattern,), levels)
        if any(alone.wants(clause) for clause in ledger().values()):
            continue
        if any(fnmatch.fnmatch(clause, pattern) for clause in ledger()):
            suite, words = " and ".join(sorted(map(str, possible))), ", ".join(_LEVELS[level])
            raise UsageError(f"--only {pattern} matches no clause of the {suite} suite at {words}")
        raise UsageError(f"--only {pattern} matches no clause{nearest(pattern.rstrip('*'))}")
    return Selection(chosen, only, levels)


def _profile_files(
    given: tuple[str, ...], targets: tuple[str, ...], no_shipped: bool
) -> dict[str, Path | None]:
    """The profile of each target: the given one, or one shipped with kvbench."""
    from kvbench.conformance.profile import shipped_profile
    from kvbench.registry import scheme_of

    files: dict[str, Path | None] = {}
    for one in given:
        named = [target for target in targets if one.startswith(f"{target}=")]
        if named:
            target, file = named[0], Path(one.removeprefix(f"{named[0]}="))
        elif len(targets) == 1:
            target, file = targets[0], Path(one)
        else:
            raise UsageError(
                f"--profile {one}: there are several targets: write --profile TARGET=FILE"
            )
        if target in files:
            raise UsageError(f"--profile is given twice for {target}")
        files[target] = file
    for target in targets:
        if target not in files and not no_shipped and "://" in target:
            files[target] = shipped_profile(scheme_of(target))
    return files


def _print(run: CheckRun, *, to_stderr: bool) -> None:
    from kvbench.cli.output import make_console
    from kvbench.report.conformance_terminal import render_terminal

    render_terminal(run.conformance, make_console(stderr=to_stderr))
