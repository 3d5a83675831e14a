"""No command shows a secret: not on success, not in an error, not in any file that it writes.

A secret is drawn with a mark at its beginning and one at its end, which stand nowhere else: whoever
shows any part of it, encoded or not, shows one of them. Every byte that a command writes is
searched, and the names of its files as well.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvbench.cli import main
from kvbench.local_server import LocalServer, free_port
from tests.cli import leaky_backends

MARKS = ("Zq7", "9Kx")

RUN = ("--quick", "--rounds", "2", "--batch-sizes", "10", "--no-keep-awake")
REPORTS = (
    "--json", "v.json", "--junit", "v.xml", "--markdown", "v.md", "--html", "v.html",
    "--badge", "v.svg", "--repro-dir", "failures", "--write-profile", "p.toml", "--force",
)  # fmt: skip

in_one_place = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10
)


@pytest.fixture(autouse=True)
def leaky(monkeypatch, tmp_path_factory):
    leaky_backends.register(monkeypatch, tmp_path_factory.mktemp("adapters") / "package")
    leaky_backends.OPENED.clear()


class Caller:
    """The command line in this process, in a directory of its own; keeps all that it wrote."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.written = b""
        self.calls = 0

    def __call__(self, *args):
        """Exit code, standard output and standard error of one command; files stay for the next."""
        self.monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        out, err = io.StringIO(), io.StringIO()
        streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        with streams[0], streams[1], pytest.raises(SystemExit) as left:
            main()
        self.written += f"{out.getvalue()}{err.getvalue()}".encode()
        self.calls += 1
        return left.value.code, out.getvalue(), err.getvalue()

    def everything(self):
        """Both streams of all commands, and each file with its name."""
        files = [path for path in Path().rglob("*") if path.is_file()]
        return self.written + b"".join([bytes(path) + path.read_bytes() for path in files])


@pytest.fixture
def kvbench(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return Caller(monkeypatch)


def assert_hidden(caller):
    written = caller.everything()
    for mark in MARKS:
        place = written.find(mark.encode())
        assert place < 0, written[max(0, place - 200) : place + 100]


# --- The leaks that were known --------------------------------------------------------------------

KNOWN = [
    "redis://me@corp.com:Zq7x9Kx@127.0.0.1:1",
    "redis://me:Zq7 x9Kx@127.0.0.1:1",
    "redis://me:Zq7/x9Kx@127.0.0.1:1",
    "redis://me:Zq7?x9Kx@127.0.0.1:1",
    "redis://127.0.0.1:1/0?password=Zq7x9Kx",
    "redis://127.0.0.1:1/0?ssl_password=Zq7x9Kx",
    "rediss://127.0.0.1:1/0?ssl_password=Zq7x9Kx",
    "redis://127.0.0.1:1/0?pass%77ord=Zq7x9Kx",
    "kvb://u:Zq79Kx@127.0.0.1:1",
    "kvb+async://u:Zq79Kx@127.0.0.1",
    "redis://u:Zq7x9Kx@127.0.0.1:99999",
    "redis://u:Zq7x9Kx@127.0.0.1:port",
    "memcached://u:Zq7x9Kx@127.0.0.1:1",
    "memcached://127.0.0.1:1?token=Zq7x9Kx",
    "memory://u:Zq7x9Kx@h",
    "memroy://u:Zq7x9Kx@h",
    "u:Zq7x9Kx@127.0.0.1:1",
    "redis:/u:Zq7x9Kx@127.0.0.1:1",
]


def failing_commands(url):
    """Every command that takes a target, and those that are given one by mistake."""
    yield "run", url, *RUN
    yield "run", url, url, *RUN
    yield "run", url, *RUN, "--value-type", "int"
    yield "run", "memory://", *RUN, "--conformance", url
    yield "run", "memory://", "--ops", url
    yield "run", "memory://", "--batch-sizes", url
    yield "run", "memory://", *RUN, f"--report={url}"
    yield "check", url, "--only", "GET-001", "--suite", "wire"
    yield "check", url, "--only", "BGET-001", "--suite", "backend"
    yield "check", url, url
    yield "check", url, f"{url}x", "--only", "BGET-001", *REPORTS[:-3]
    yield "check", url, "--profile", f"{url}=missing.toml"
    yield "check", "memory://", "kvb://", "--profile", f"{url}=missing.toml"
    yield "check", "memory://", "--only", url
    yield "replay", url, "repro.json"
    yield "replay", "127.0.0.1:1", url
    yield "report", url
    yield "report", "repro.json", url
    yield "advise", url
    yield "report", "repro.json", "--beside", url
    yield "proxy", url
    yield "serve", url
    yield "serve", "--port", url
    yield "backends", url
    yield (url,)
    yield "run", f"--target={url}"
    yield "run", f"--redis-{url}"


@pytest.mark.parametrize("url", KNOWN)
def test_no_failing_command_shows_a_known_leak(kvbench, url):
    Path("repro.json").write_text('{"schema": "kvbench-vectors/1", "area": "x"}')
    for command in failing_commands(url):
        code, _, err = kvbench(*command)
        assert code in (2, 3, 4), (command, err)
        assert "Traceback" not in err
    assert_hidden(kvbench)


# --- Drawn URLs -----------------------------------------------------------------------------------

typed = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
special = st.lists(st.sampled_from(["@", "/", "?", "#", ":", " ", "%", "[", "&", "'", '"', "\\"]))
secrets = (typed | special.map("".join)).map(lambda text: f"Zq7{text}9Kx")
users = st.sampled_from(["", "me", "me@corp.com", "a%20b"])


@st.composite
def urls(draw, schemes):
    """A URL with a secret in user info or query, encoded as it should be, or as typed."""
    secret = draw(secrets)
    encoded = quote(secret, "") if draw(st.booleans()) else secret
    scheme, user = draw(st.sampled_from(schemes)), draw(users)
    place = draw(st.sampled_from(["127.0.0.1:1", "127.0.0.1:1/0", "h:99999", "[::1]:1/0"]))
    if draw(st.integers(0, 3)):
        return f"{scheme}://{user}:{encoded}@{place}"
    name = draw(st.sampled_from(["password", "SSL_Password", "pass%77ord", "auth_token", "secret"]))
    # Raw, only the next `name=` could end it; so it holds no equals sign.
    return f"{scheme}://{place}?{name}={encoded.replace('=', '')}"


def in_new_directory(monkeypatch, name):
    directory = Path(tempfile.mkdtemp(prefix=name))
    monkeypatch.chdir(directory)
    return directory


@in_one_place
@given(url=urls(["redis", "kvb", "memcached", "open", "crash", "memory", "nosuch"]))
@pytest.mark.thorough
def test_no_failing_command_shows_a_drawn_secret(monkeypatch, tmp_path, url):
    directory = in_new_directory(monkeypatch, f"{tmp_path}/")
    Path("repro.json").write_text('{"schema": "kvbench-vectors/1", "area": "x"}')
    kvbench = Caller(monkeypatch)
    for command in failing_commands(url):
        code, _, err = kvbench(*command)
        assert code, (command, err)
    assert_hidden(kvbench)
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(directory)


@settings(in_one_place, max_examples=2)
@given(url=urls(["facts", "errors"]))
def test_no_working_command_shows_a_drawn_secret(monkeypatch, tmp_path, url):
    """The whole way: check, run with its verdicts, every report, on an adapter that leaks."""
    directory = in_new_directory(monkeypatch, f"{tmp_path}/")
    kvbench = Caller(monkeypatch)
    leaky_backends.OPENED.clear()
    kvbench("check", url, "--only", "BGET-*", "--only", "BMGET-*", *REPORTS)
    kvbench(
        "run",
        url,
        *RUN,
        "--output",
        "r.jsonl",
        "--report",
        "r.md",
        "--html",
        "r.html",
        "--conformance",
        "v.json",
    )
    kvbench("run", url, *RUN, "--json", "--ops", "mget")
    for name in ("terminal", "markdown", "json", "html"):
        kvbench("report", "r.jsonl", "--format", name)
        kvbench("report", "r.jsonl", "--format", name, "--output", f"report.{name}")
    assert_hidden(kvbench)
    if leaky_backends.OPENED:
        assert any("Zq7" in one and "9Kx" in one for one in leaky_backends.OPENED)
        assert Path("r.jsonl").exists() and Path("v.html").exists()
        # One name everywhere: the run has found the verdicts of its target.
        assert b"without a verdict" not in kvbench.written
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(directory)


# --- A real server with a password ----------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_port():
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on the PATH: apt-get install redis-server")
    port = free_port()
    server = LocalServer([program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""])
    server.wait_for_line("Ready to accept connections")
    yield port
    server.stop()


@contextlib.contextmanager
def password(port, secret):
    """A server that wants this password, as long as the block runs."""
    import redis

    with redis.Redis(port=port) as client:
        client.config_set("requirepass", secret)
        try:
            yield
        finally:
            client.config_set("requirepass", "")


@settings(in_one_place, max_examples=2)
@given(secret=secrets)
@pytest.mark.thorough
def test_a_real_server_takes_a_password_that_no_output_shows(
    monkeypatch, tmp_path, redis_port, secret
):
    """From the environment, whatever characters it has: every outcome is that of a right login."""
    directory = in_new_directory(monkeypatch, f"{tmp_path}/")
    kvbench = Caller(monkeypatch)
    # An environment holds bytes: what it cannot hold, no user can set.
    monkeypatch.setenv("KV_PASSWORD", secret)
    url = f"redis://:${{KV_PASSWORD}}@127.0.0.1:{redis_port}/0"
    with password(redis_port, secret):
        code, _, err = kvbench("check", url, "--only", "BGET-*", *REPORTS)
        assert code == 0, err
        code, out, err = kvbench("run", url, *RUN, "--output", "r", "--conformance", "v.json")
        assert code == 0, err
        assert f"redis://:***@127.0.0.1:{redis_port}/0" in out
        assert "without a verdict" not in err
        typed_in = f"redis://:{quote(secret, '')}@127.0.0.1:{redis_port}/0"
        assert kvbench("run", typed_in, *RUN, "--ops", "mget", "--json")[0] == 0
    with password(redis_port, f"{secret}!"):
        code, _, err = kvbench("run", url, *RUN)
        assert code == 4 and "the server refused the login" in err
    assert_hidden(kvbench)
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(directory)


def test_a_variable_that_is_not_set_is_one_line(kvbench, monkeypatch):
    monkeypatch.delenv("KV_PASSWORD", raising=False)
    for command in ("run", "check"):
        code, _, err = kvbench(command, "redis://:${KV_PASSWORD}@127.0.0.1:1")
        assert code == 2
        assert "the environment variable KV_PASSWORD is not set" in err and err.count("\n") == 1


# --- The last guard: what no command has cleaned --------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_traceback_and_a_library_show_no_secret(encoding):
    """An exception that no command expects, a warning, a log line: all go through the streams."""
    code = """
import logging, sys, warnings
import kvbench.cli
def fails(*args, **options):
    logging.warning("logged %s", sys.argv[2])
    warnings.warn(f"warned of {sys.argv[2]}")
    print(f"printed {sys.argv[2]}")
    raise ZeroDivisionError(f"raised for {sys.argv[2]!r} \\x1b]0;title\\x07")
kvbench.cli.group.main = fails
kvbench.cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "redis://u:Zq7 x9Kx@h"],
        capture_output=True,
        env={"PYTHONIOENCODING": encoding},
        timeout=60,
    )
    assert done.returncode == 1
    written = done.stdout + done.stderr
    for word in (b"logged", b"warned", b"printed", b"raised", b"redis://u:***@h"):
        assert word in written
    assert not [mark for mark in MARKS if mark.encode() in written]
    assert b"\x1b" not in written and b"\x07" not in written


def test_the_command_in_the_header_has_no_secret(kvbench):
    url = "facts://u:Zq7x9Kx@h"
    assert kvbench("run", url, *RUN, "--ops", "mget", "--output", "r.jsonl")[0] == 0
    header = json.loads(Path("r.jsonl").read_text().splitlines()[0])
    assert header["command"].startswith("kvbench run 'facts://u:***@h' --quick")
    assert header["settings"]["targets"] == ["facts://u:***@h"]


def test_two_passwords_of_one_place_are_the_same_target(kvbench):
    code, _, err = kvbench("run", "facts://u:Zq7x@h", "facts://u:9Kx@h", *RUN)
    assert code == 2 and "facts://u:***@h is given twice" in err
    assert_hidden(kvbench)
