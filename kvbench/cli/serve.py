"""``kvbench serve``: the wire protocol's server as a process."""

from __future__ import annotations

import click

from kvbench.cli.output import show
from kvbench.cli.parameters import ByteSize
from kvbench.errors import UsageError
from kvbench.protocol.opcodes import DEFAULT_PORT

_OTHER_FILES = 128
"""Beside its clients: standard streams, the event loop's, and clients that are turned away."""


@click.command(
    epilog="\b\nExamples:\n"
    "  kvbench serve\n"
    "  kvbench serve --port 0 --log-level debug\n"
    "  kvbench serve --host ::1 --max-payload 4MiB --idle-timeout 300 --json-logs"
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; this machine's."
)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="TCP port; 0 takes a free one.",
)
@click.option(
    "--max-connections",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Clients at one time; a further one gets an error and is closed.",
)
@click.option(
    "--max-payload",
    default="64MiB",
    show_default=True,
    metavar="SIZE",
    type=ByteSize(),
    help="Largest request, in bytes or like 4kB, 64MiB.",
)
@click.option(
    "--idle-timeout",
    default=300.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds without a sign of life after which a client is closed; 0: never.",
)
@click.option(
    "--frame-timeout",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that a request may take to arrive, and one more for each 64 KiB; 0: any time.",
)
@click.option(
    "--protected-mode/--no-protected-mode",
    default=True,
    show_default=True,
    help="Listen on loopback addresses only: there is no password.",
)
@click.option(
    "--log-level",
    default="warning",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="What goes to standard error.",
)
@click.option("--json-logs", is_flag=True, help="Log one JSON object a line.")
@click.pass_context
def command(
    ctx: click.Context,
    host: str,
    port: int,
    max_connections: int,
    max_payload: int,
    idle_timeout: float,
    frame_timeout: float,
    protected_mode: bool,
    log_level: str,
    json_logs: bool,
) -> None:
    """Serve the wire protocol over TCP, from memory.

    Prints one line with its address when clients can connect. There is no password and no
    encryption, so it listens on loopback only; --no-protected-mode lifts that, in a network where
    you trust everybody.

    SIGTERM or Ctrl-C ends it in order: what was received is answered, then it exits with 0. A
    second signal stops it at once.
    """
    import asyncio

    from kvbench.event_loop import loop_factory
    from kvbench.server.config import ServerConfig
    from kvbench.server.logs import configure_logs
    from kvbench.server.tcp import serve

    config = ServerConfig(
        host=host,
        port=port,
        max_connections=max_connections,
        max_payload_bytes=max_payload,
        protected_mode=protected_mode,
        idle_timeout_s=idle_timeout,
        frame_timeout_s=frame_timeout,
    )
    _allow_files(max_connections)
    configure_logs(log_level, as_json=json_logs)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        code = runner.run(serve(config, ready=_announce))
    ctx.exit(code)


def _announce(address: str) -> None:
    """The one line of standard output: scripts wait for it."""
    show(f"kvbench server listening on {address}")


def _allow_files(connections: int) -> None:
    """Raise this process's soft limit of open files to what ``connections`` need.

    Raises:
        UsageError: the hard limit is lower; without this check, accepting would fail later.
    """
    import resource

    needed = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UsageError(
            f"--max-connections {connections} needs {needed} open files, this process may have "
            f"{hard}: lower it, or raise the limit (ulimit -n)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
