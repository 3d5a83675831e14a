"""The ``kvbench`` command: one file per subcommand, imported when it is used.

Commands raise kvbench's exceptions; only this module turns them into one line on standard error and
an exit code:

0 done · 1 a check or threshold failed · 2 usage error · 3 nothing was verified ·
4 a target cannot be reached, or the suite itself failed · 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import importlib
import sys

import click

from kvbench import __version__
from kvbench.cli.output import notify
from kvbench.cli.standard_streams import guard_standard_streams
from kvbench.errors import (
    BackendUnavailableError,
    KvbenchError,
    KvConnectionError,
    KvTimeoutError,
)
from kvbench.redaction import SECRETS
from kvbench.suggest import did_you_mean

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNVERIFIED = 3
EXIT_UNREACHABLE = 4
EXIT_INTERRUPTED = 130

COMMANDS = {
    "check": "Check whether targets conform to the protocol and the backend contract.",
    "replay": "Replay a failed conversation of a check.",
    "run": "Measure what batching gains on one or more targets.",
    "load": "Measure throughput and latency under many clients.",
    "capacity": "Search the highest rate within a latency objective.",
    "compare": "Compare results, and fail on a slowdown.",
    "history": "Keep results, and show when a figure changed.",
    "init": "Write a commented file of options for load.",
    "advise": "Recommend a batch size for a target, with reasons.",
    "report": "Render a results file again.",
    "serve": "Serve the wire protocol over TCP.",
    "proxy": "Simulate a slow or broken network in front of a server.",
    "backends": "List the kinds of store that can be targets.",
    "env": "Show the machine and versions that results record.",
    "completion": "Print the shell completion script.",
}
"""Every command with its line in ``kvbench --help``, so that the list imports none of them."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"kvbench.cli.{name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            hint = did_you_mean(name, COMMANDS, f"there are: {', '.join(COMMANDS)}")
            raise click.UsageError(f"no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  kvbench run --batch-sizes 10,100,1000
  kvbench run memory:// kvb:// valkey://127.0.0.1:6379 --quick
  kvbench serve --port 16380
  kvbench backends

Exit codes: 0 done, 1 a check failed, 2 usage, 3 nothing was verified,
4 target unreachable, 130 interrupted.
""",
)
@click.version_option(__version__, prog_name="kvbench")
def group() -> None:
    """Check that a key-value store keeps its promises, and measure what batching gains."""


def main() -> None:
    """Run the command line and exit with its code."""
    for word in sys.argv[1:]:
        SECRETS.learn(word)
    guard_standard_streams()
    try:
        code = group.main(prog_name="kvbench", standalone_mode=False)
    except click.exceptions.Abort:
        code = EXIT_INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = EXIT_USAGE
    except click.NoSuchOption as error:
        code = _complain(_no_option(error), EXIT_USAGE)
    except click.MissingParameter as error:
        code = _complain(_missing(error), EXIT_USAGE)
    except click.ClickException as error:
        code = _complain(error.format_message(), EXIT_USAGE)
    except (KvConnectionError, KvTimeoutError, BackendUnavailableError) as error:
        code = _complain(str(error), EXIT_UNREACHABLE)
    except KvbenchError as error:
        code = _complain(str(error), EXIT_USAGE)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    notify(message)
    return code


def _no_option(error: click.NoSuchOption) -> str:
    """A suggestion for an unknown option."""
    assert error.ctx is not None
    known = [name for param in error.ctx.command.get_params(error.ctx) for name in param.opts]
    options = [name for name in known if name.startswith("-")]
    path = error.ctx.command_path
    hint = did_you_mean(error.option_name, options, f"`{path} --help` lists them")
    return f"`{path}` has no option {error.option_name!r}; {hint}"


def _missing(error: click.MissingParameter) -> str:
    assert error.ctx is not None
    return f"{error.format_message().rstrip('.')}; see `{error.ctx.command_path} --help`"
