"""``kvbench serve``: runs the wire protocol's server."""

from __future__ import annotations

import click

from kvbench.cli.output import show
from kvbench.cli.parameters import ByteSize
from kvbench.errors import UsageError
from kvbench.protocol.opcodes import DEFAULT_PORT

_OTHER_FILES = 128
"""Files besides clients': standard streams, the event loop's, and lingering rejected clients."""


@click.command(
    epilog="\b\nExamples:\n"
    "  kvbench serve\n"
    "  kvbench serve --port 0 --log-level debug\n"
    "  kvbench serve --host ::1 --max-payload 4MiB --idle-timeout 300 --json-logs"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Local address to listen on.")
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
    help="Simultaneous clients; more are rejected with an error.",
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
    help="Disconnect clients idle for this many seconds; 0: never.",
)
@click.option(
    "--frame-timeout",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds to receive a request, plus one for each 64 KiB; 0: no limit.",
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
    help="Log level, on standard error.",
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

    Prints one line with its address when it accepts connections. There is no password and no
    encryption, so it listens on loopback only; --no-protected-mode lifts that, for a network where
    you trust everyone.

    SIGTERM or Ctrl-C shuts it down gracefully: received requests are answered, then it exits with
    0. A second signal stops it immediately.
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
    """Print the only line of standard output: scripts wait for it."""
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
