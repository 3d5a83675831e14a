"""Measure Celery's calls on kvbench's result backend and on Celery's own for Redis.

    python docs/celery/measure.py --rtt 0 --rtt 0.5 --output reports/celery

Three things, each with 100 results and with Celery's own calls:

- fetch: ``AsyncResult(id).result`` for each, and ``backend.get_many(ids)``;
- store: ``backend.store_result`` for each, without and with a window (``batch_window``);
- chord: what the workers do at the end of the 100 header tasks, ``backend.mark_as_done``, up to
  the call of the body.

A round is a separate process with a fresh kvbench server and a fresh redis-server (or Valkey, where
there is none), placed on the other cores. All variants are measured in turn in a round, forwards
and backwards. A round's time is the median over its blocks; times and ratios are geometric means
over rounds, with Student's t between rounds. With ``--rtt`` a proxy adds so many milliseconds to
each round trip, for both servers alike.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

from celery import Celery, chord
from celery.app.task import Context

from kvbench.bench.estimate import combine, half_width
from kvbench.bench.keep_awake import keep_awake
from kvbench.bench.placement import apply, choose_placement
from kvbench.local_server import OWN_SERVER, LocalServer, free_port
from kvbench.proxy import Conditions, running
from kvbench.report.format import bounds, duration, ratio

START = """
import sys, time
from celery import Celery
app = Celery("start", broker="memory://", backend=sys.argv[1])
begin = time.perf_counter_ns()
app.backend.get_many(["x"], max_iterations=1)
app.AsyncResult("x").state
took_ns = time.perf_counter_ns() - begin
status = open("/proc/self/status").read()
print(took_ns, status.split("VmRSS:")[1].split()[0])
"""
"""A process that loads a result backend and reads one state: nanoseconds for that, and KiB."""

RESULTS = 100
VALUE = {"user": 17, "items": [1, 2, 3], "text": "x" * 60}
ROUND_TIMEOUT_S = 300

Timed = Callable[[], float]
"""Does the work once; returns nanoseconds."""


class OneStore:
    """Celery on one store: an app that sends to a broker in memory, so that only results count."""

    def __init__(self, url: str) -> None:
        self.app = _app(url)
        self.backend = self.app.backend
        self.ids = [uuid.uuid4().hex for _ in range(RESULTS)]
        for task_id in self.ids:
            self.backend.store_result(task_id, VALUE, "SUCCESS")

    def fetch_each(self) -> float:
        """Ask for each result."""
        self.backend._cache.clear()
        begin = time.perf_counter_ns()
        found = [self.app.AsyncResult(task_id).result for task_id in self.ids]
        return _checked(begin, found == [VALUE] * RESULTS)

    def fetch_many(self) -> float:
        """Ask for all of them at once."""
        self.backend._cache.clear()
        begin = time.perf_counter_ns()
        found = dict(self.backend.get_many(self.ids))
        is_right = all(found[task_id]["result"] == VALUE for task_id in self.ids)
        return _checked(begin, is_right)

    def store_each(self) -> float:
        """Store each result by itself."""
        ids = [uuid.uuid4().hex for _ in range(RESULTS)]
        begin = time.perf_counter_ns()
        for task_id in ids:
            self.backend.store_result(task_id, VALUE, "SUCCESS")
        return _checked(begin, True)

    def chord_parts(self) -> float:
        """The workers' part of a chord, for each message of its header."""
        header = [self.app.signature("part", args=(number,)) for number in range(RESULTS)]
        chord(header, app=self.app)(self.app.signature("body"))
        requests = list(self._received(RESULTS))
        begin = time.perf_counter_ns()
        for request in requests:
            self.backend.mark_as_done(request.id, VALUE, request)
        took_ns = _checked(begin, True)
        [body] = self._messages(1)
        [values], _, _ = body.payload
        assert values == [VALUE] * RESULTS
        return took_ns

    def _messages(self, count: int) -> Iterator[object]:
        with self.app.connection_for_read() as connection:
            queue = connection.SimpleQueue("celery")
            for _ in range(count):
                message = queue.get(timeout=5)
                message.ack()
                yield message
            queue.close()

    def _received(self, count: int) -> Iterator[Context]:
        for message in self._messages(count):
            _, _, embedded = message.payload
            yield Context(message.headers, chord=embedded["chord"], callbacks=None, errbacks=None)


class Windowed(OneStore):
    """The same with a window: results wait, and are stored together."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.backend = _app(url, batch_window=1).backend

    def store_window(self) -> float:
        """Store what a window has collected."""
        ids = [uuid.uuid4().hex for _ in range(RESULTS)]
        begin = time.perf_counter_ns()
        for task_id in ids:
            self.backend.store_result(task_id, VALUE, "SUCCESS")
        self.backend.flush()
        return _checked(begin, True)


def _app(url: str, **options: object) -> Celery:
    broker = f"memory://{uuid.uuid4().hex}"
    app = Celery("measured", broker=broker, backend=url, set_as_current=False)
    app.conf.result_backend_transport_options = options
    return app


def _checked(begin: int, is_right: bool) -> float:
    took_ns = time.perf_counter_ns() - begin
    assert is_right, "wrong results"
    return took_ns


def ways(kvb_url: str, redis_url: str) -> dict[str, Timed]:
    """Everything that is timed, by name: the store, what, and how."""
    ours, theirs = OneStore(kvb_url), OneStore(redis_url)
    return {
        "kvb fetch each": ours.fetch_each,
        "kvb fetch many": ours.fetch_many,
        "redis fetch each": theirs.fetch_each,
        "redis fetch many": theirs.fetch_many,
        "kvb store each": ours.store_each,
        "kvb store window": Windowed(kvb_url).store_window,
        "redis store each": theirs.store_each,
        "kvb chord": ours.chord_parts,
        "redis chord": theirs.chord_parts,
    }


def one_round(rtts_ms: list[float], blocks: int) -> dict[str, dict[str, float]]:
    """Nanoseconds by added round trip and way: the medians over the blocks of this process."""
    found = {}
    with ExitStack() as opened:
        kvb = opened.enter_context(_server([*OWN_SERVER[:-1]], "listening"))
        redis = opened.enter_context(_server(_redis_command(), "Ready to accept"))
        for rtt_ms in rtts_ms:
            with ExitStack() as far:
                if rtt_ms:
                    conditions = Conditions(delay_ns=round(rtt_ms * 1e6))
                    places = [
                        far.enter_context(running(f"127.0.0.1:{port}", conditions)).address
                        for port in (kvb, redis)
                    ]
                else:
                    places = [f"127.0.0.1:{port}" for port in (kvb, redis)]
                urls = f"kvb://{places[0]}/celery", f"redis://{places[1]}/0"
                found[f"{rtt_ms:g}"] = _measure(ways(*urls), blocks) | _start(*urls)
    return found


def _start(*urls: str) -> dict[str, float]:
    """What a fresh process pays for a backend: nanoseconds until the first answer, and KiB."""
    found = {}
    for url in urls:
        command = [sys.executable, "-c", START, url]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        took_ns, resident_kib = finished.stdout.split()
        store = url.partition(":")[0]
        found |= {f"{store} start": float(took_ns), f"{store} memory": float(resident_kib)}
    return found


def _measure(timed: dict[str, Timed], blocks: int) -> dict[str, float]:
    for way in timed.values():
        way()  # Connects, and fills caches of code.
    times: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(blocks):
        forwards = {name: way() for name, way in timed.items()}
        backwards = {name: timed[name]() for name in reversed(timed)}
        for name in timed:
            times[name].append((forwards[name] + backwards[name]) / 2)
    return {name: statistics.median(took) for name, took in times.items()}


@contextmanager
def _server(command: list[str], ready: str) -> Iterator[int]:
    port = free_port()
    server = LocalServer([*command, str(port)])
    try:
        server.wait_for_line(ready)
        yield port
    finally:
        server.stop()


def _redis_command() -> list[str]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        sys.exit("needs redis-server or valkey-server: apt-get install redis-server")
    return [program, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]


# --- The table -----------------------------------------------------------------------------------

ROWS = (
    ("fetch 100 results", "kvb", "kvb fetch each", "kvb fetch many"),
    ("fetch 100 results", "redis", "redis fetch each", "redis fetch many"),
    ("store 100 results", "kvb", "kvb store each", "kvb store window"),
    ("store 100 results", "redis", "redis store each", None),
    ("chord of 100", "kvb", "kvb chord", None),
    ("chord of 100", "redis", "redis chord", None),
)
OVER = (
    ("fetch 100, one by one", "kvb fetch each", "redis fetch each"),
    ("fetch 100, together", "kvb fetch many", "redis fetch many"),
    ("store 100, one by one", "kvb store each", "redis store each"),
    ("store 100: a window on kvb", "kvb store window", "redis store each"),
    ("chord of 100", "kvb chord", "redis chord"),
    ("load the backend, read one state", "kvb start", "redis start"),
)
STORES = ("kvb", "redis")


def report(rounds: list[dict[str, dict[str, float]]], facts: dict[str, str]) -> str:
    """The tables as Markdown."""
    lines = ["# Celery's calls, measured", ""]
    lines += [" · ".join(f"{name} {value}" for name, value in facts.items()), ""]
    for rtt in rounds[0]:
        samples = {way: [one[rtt][way] for one in rounds] for way in rounds[0][rtt]}
        lines += [f"## {_title(rtt)}", ""]
        lines += ["| what | result backend | before: one by one | after: together | factor |"]
        lines += ["| :--- | :--- | ---: | ---: | ---: |"]
        for what, store, before, after in ROWS:
            together = _time(samples[after]) if after else "—"
            factor = _ratio(samples[before], samples[after]) if after else "—"
            lines += [f"| {what} | {store} | {_time(samples[before])} | {together} | {factor} |"]
        lines += ["", "| what | kvb | Redis | Redis's time over kvb's |"]
        lines += ["| :--- | ---: | ---: | ---: |"]
        for what, ours, theirs in OVER:
            times = f"{_time(samples[ours])} | {_time(samples[theirs])}"
            lines += [f"| {what} | {times} | {_ratio(samples[theirs], samples[ours])} |"]
        memory = [combine(samples[f"{store} memory"]).estimate / 1024 for store in STORES]
        shown = " | ".join(f"{mib:.1f} MiB" for mib in memory)
        lines += [f"| resident memory of a process that did so | {shown} | |", ""]
    lines += [
        "Times are geometric means over rounds with half of their 95% interval; a factor stands "
        "with its interval. Redis has no call that stores many results, so its `after` is empty. "
        "Chord: what the workers do for the 100 parts, `mark_as_done`, up to the call of the body.",
        "",
    ]
    return "\n".join(lines)


def _title(rtt: str) -> str:
    return "Loopback" if rtt == "0" else f"{rtt} ms added to each round trip"


def _time(samples: list[float]) -> str:
    figure = combine(samples)
    half = half_width(figure)
    return duration(figure.estimate) + (f" ±{half:.1%}" if half is not None else "")


def _ratio(over: list[float], under: list[float]) -> str:
    figure = combine([one / other for one, other in zip(over, under, strict=True)])
    interval = bounds(figure).replace("[", "\\[").replace("]", "\\]")
    return f"**{ratio(figure)}** {interval}".rstrip()


def _facts(count: int, placed: str) -> dict[str, str]:
    program = _redis_command()[0]
    finished = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return {
        "rounds": str(count),
        "Celery": version("celery"),
        "redis-py": version("redis"),
        "server": " ".join(finished.stdout.split()[:3]),
        "Python": sys.version.split()[0],
        "placement": placed,
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    """Measure in rounds, and write ``report.md`` and ``results.json``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--rtt", type=float, action="append", metavar="MS", help="added; default: 0 and 0.5"
    )
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--blocks", type=int, default=5, help="in each round; default: 5")
    parser.add_argument("--output", type=Path, help="a folder for report.md and results.json")
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    rtts_ms = options.rtt or [0.0, 0.5]
    if options.one_round:
        json.dump(one_round(rtts_ms, options.blocks), sys.stdout)
        return
    placement = apply(choose_placement())
    command = [sys.executable, __file__, "--one-round", f"--blocks={options.blocks}"]
    command += [f"--rtt={rtt}" for rtt in rtts_ms]
    rounds = []
    with keep_awake():
        for number in range(1, options.rounds + 1):
            sys.stderr.write(f"round {number} of {options.rounds}\n")
            finished = subprocess.run(command, capture_output=True, timeout=ROUND_TIMEOUT_S)
            if finished.returncode:
                sys.exit(finished.stderr.decode())
            rounds.append(json.loads(finished.stdout))
    text = report(rounds, _facts(len(rounds), placement.reason))
    sys.stdout.write(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "report.md").write_text(text)
        (options.output / "results.json").write_text(json.dumps(rounds) + "\n")


if __name__ == "__main__":
    main()
