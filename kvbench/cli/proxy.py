"""``kvbench proxy``: a simulated network between a client and a server, as a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kvbench.cli.output import notify, show
from kvbench.cli.parameters import Bandwidth, ByteSize, Duration, TargetType

if TYPE_CHECKING:
    from kvbench.proxy.server import Proxy

_FILES = 65_536
"""Requested limit of open files, if the system allows it: some 32,000 connections."""


@click.command(
    epilog="""\b
Examples:
  kvbench proxy redis://127.0.0.1:6379/0 --delay 0.5ms
  kvbench proxy 127.0.0.1:16380 --delay 20ms --jitter 5ms
  kvbench proxy 127.0.0.1:16380 --port 16381 --bandwidth 10Mbit/s
  kvbench proxy kvb://127.0.0.1:16380 --cut-after 4kB --reset

While it runs, a line such as `delay 2ms` on its standard input (a pipe) sets another delay.
"""
)
@click.argument("target", type=TargetType())
@click.option(
    "--delay",
    type=Duration(),
    default="0",
    metavar="DURATION",
    help="Delay added to each round trip, half in each direction: 250us, 0.5ms, 2s. [0]",
)
@click.option(
    "--jitter",
    type=Duration(),
    default="0",
    metavar="DURATION",
    help="Random extra delay, up to this. Order is kept. [0]",
)
@click.option(
    "--bandwidth",
    type=Bandwidth(),
    metavar="RATE",
    help="For each direction, shared by all connections: 10MB/s, 100Mbit/s. [no limit]",
)
@click.option(
    "--cut-after",
    type=ByteSize(),
    metavar="SIZE",
    help="End a connection after this many bytes in one direction: 1000, 4kB. [never]",
)
@click.option(
    "--reset",
    is_flag=True,
    help="End connections by a reset, not a close; without --cut-after at the first byte.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the jitter.")
@click.option(
    "--port",
    default=0,
    type=click.IntRange(0, 65_535),
    help="TCP port to listen on, on 127.0.0.1. [a free one]",
)
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    delay: int,
    jitter: int,
    bandwidth: int | None,
    cut_after: int | None,
    reset: bool,
    seed: int,
    port: int,
) -> None:
    """Simulate a slow or broken network in front of TARGET, a server's HOST:PORT or URL.

    Prints the address to use instead of the target's, and for a URL the new URL. Data in flight is
    delayed, not queued, up to 8 MiB. The proxy itself adds some tens of microseconds to a round
    trip, even without a delay. Connecting is not delayed. TLS passes through unchanged; the
    server's certificate must then be valid for 127.0.0.1.

    SIGTERM or Ctrl-C shuts it down gracefully: data in flight arrives, then it prints the traffic
    of each connection and exits with 0. A second signal stops it immediately.
    """
    import asyncio

    from kvbench.event_loop import loop_factory
    from kvbench.proxy.conditions import Conditions
    from kvbench.proxy.server import Proxy
    from kvbench.proxy.target import target_address

    _allow_files()
    conditions = Conditions(delay, jitter, bandwidth, cut_after, reset, seed)
    proxy = Proxy(target_address(target), conditions, port=port, complain=notify)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        ctx.exit(runner.run(_serve(proxy, target)))


def _allow_files() -> None:
    """Raise this process's soft limit of open files: each connection needs two."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(proxy: Proxy, target: str) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()
    first_signal = asyncio.Event()
    exit_code = 0

    def on_signal(number: int) -> None:
        nonlocal exit_code
        if first_signal.is_set():
            exit_code = 128 + number
            proxy.abort()
        first_signal.set()

    async with proxy:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal, number)
        _announce(proxy, target)
        _listen_to_input(proxy)
        await first_signal.wait()
    _report(proxy)
    return exit_code


def _announce(proxy: Proxy, target: str) -> None:
    from kvbench.foreign_text import target_name
    from kvbench.proxy.target import through

    show(f"kvbench proxy listening on {proxy.address}")
    if "://" in target:
        show(f"use {target_name(through(target, proxy.address))}")


def _listen_to_input(proxy: Proxy) -> None:
    """Read commands from standard input if it is a pipe.

    A terminal is not read: a background process that reads it is stopped.
    """
    import asyncio
    import os
    import stat
    import sys

    try:
        fd = sys.stdin.fileno()
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return
    except (AttributeError, OSError, ValueError):
        return  # There is no standard input.
    loop = asyncio.get_running_loop()
    rest = b""

    def on_readable() -> None:
        nonlocal rest
        text = os.read(fd, 4096)
        if not text:
            loop.remove_reader(fd)
        *lines, rest = (rest + text).split(b"\n")
        for line in lines:
            _obey(proxy, line.decode(errors="replace").strip())

    loop.add_reader(fd, on_readable)


def _obey(proxy: Proxy, line: str) -> None:
    """Carry out a command, and answer with the same line."""
    from kvbench.errors import UsageError
    from kvbench.proxy.conditions import Conditions
    from kvbench.units import parse_duration_ns

    word, _, value = line.partition(" ")
    if word != "delay":
        notify(f"unknown command {line!r}: write delay and a duration, as in delay 2ms")
        return
    try:
        proxy.set_delay(Conditions(parse_duration_ns(value)).delay_ns)
    except UsageError as error:
        notify(str(error))
    else:
        show(line)


def _report(proxy: Proxy) -> None:
    """The traffic, by connection and in total."""
    unlisted = proxy.connections - len(proxy.traffic)
    if unlisted > 0:
        show(f"not listed: {unlisted:,} connections that ended earlier")
    for one in proxy.traffic:
        show(
            f"connection {one.number}: {one.to_target_bytes:,} bytes to the target, "
            f"{one.to_client_bytes:,} to the client, {one.duration_s:.3f} s"
        )
    show(
        f"connections: {proxy.connections:,}; bytes to the target: {proxy.to_target_bytes:,}, "
        f"to the clients: {proxy.to_client_bytes:,}"
    )
