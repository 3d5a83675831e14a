"""``kvbench check --watch``: what failed is checked again each time the server comes back.

An open connection shows when the server ends: nothing is sent on it, and it ends with the server.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace

from kvbench.cli.check_run import CheckRequest, CheckRun
from kvbench.cli.output import notify
from kvbench.conformance.selection import Selection
from kvbench.conformance.targets import parse_address
from kvbench.conformance.wire.connection import REPLY_TIMEOUT_S
from kvbench.conformance.wire.presence import why_absent
from kvbench.errors import KvConnectionError
from kvbench.report.format import count
from kvbench.verdicts import VIOLATIONS

_POLL_S = 0.1


def watch(request: CheckRequest, check: Callable[[CheckRequest], CheckRun]) -> CheckRun | None:
    """Check, and check again what failed, until Ctrl-C; when nothing is left, all of it.

    Args:
        request: of one target, HOST:PORT.
        check: carries a request out, and shows the result.

    Returns:
        The last run; None where no server has ever been there.
    """
    place, last, selection = request.targets[0], None, request.selection
    while True:
        try:
            last = check(replace(request, selection=selection))
            if last.is_interrupted:
                return last
            failed = violated(last)
            # What was only needed first is not known to be fixed: nothing failed, so all is due.
            selection = replace(request.selection, only=failed) if failed else request.selection
            next_time = count(len(failed), "clause") if failed else "the whole"
        except KvConnectionError as error:
            notify(str(error))
            next_time = _shown(selection)
        try:
            notify(f"watching {place}: {next_time} when it comes back; Ctrl-C ends this")
            wait_for_return(parse_address(place))
        except KeyboardInterrupt:
            return last


def violated(run: CheckRun) -> tuple[str, ...]:
    """The clauses that a run has found violated, each once."""
    verdicts = [one for target in run.conformance.targets for one in target.verdicts]
    return tuple(dict.fromkeys([one.clause for one in verdicts if one.verdict in VIOLATIONS]))


def wait_for_return(address: tuple[str, int]) -> None:
    """Wait until the server at an address has gone, if it is there, and is there again."""
    try:
        with socket.create_connection(address, REPLY_TIMEOUT_S) as held:
            held.settimeout(None)
            while held.recv(4096):
                pass
    except OSError:
        pass  # It is not there, or has gone.
    while why_absent(address, REPLY_TIMEOUT_S) is not None:
        time.sleep(_POLL_S)


def _shown(selection: Selection) -> str:
    return count(len(selection.only), "clause") if selection.only else "the whole"
