"""Registry: schemes come from entry points, a third party's as well as ours, and errors help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvbench import registry
from kvbench.errors import BackendUnavailableError, UnknownSchemeError, UsageError
from tests.built_once import built_once

ADAPTER = """
from kvbench.backend import Backend


class DictBackend(Backend):
    summary = "a dict"
    url_example = "dict://"
    requires = ()

    @classmethod
    def open(cls, url):
        store = cls()
        store.data = {}
        return store

    def close(self):
        self.data.clear()

    def get(self, key):
        return self.data.get(key)

    def set(self, key, value, ttl=None):
        self.data[key] = value

    def delete(self, key):
        return self.data.pop(key, None) is not None

    def exists(self, key):
        return key in self.data


class NeedsDriver(DictBackend):
    requires = ("a_driver_that_nobody_has",)
    install_hint = "pip install a-driver"


class KindIsAWord(DictBackend):
    batch_kinds = {"mget": "native"}


class NoBatch(DictBackend):
    batch_kinds = {"get": "native"}


class CapabilityIsAWord(DictBackend):
    capabilities = {"ttl"}


class RequiresIsAWord(DictBackend):
    requires = ("redis")


class Unfinished(Backend):
    @classmethod
    def open(cls, url):
        return cls()


nothing = object()
"""

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "kvbench-dict"
version = "1"

[project.entry-points."kvbench.backends"]
dict = "kvbench_dict:DictBackend"
driverless = "kvbench_dict:NeedsDriver"
broken = "kvbench_dict_missing:Nothing"
kind = "kvbench_dict:KindIsAWord"
nobatch = "kvbench_dict:NoBatch"
capability = "kvbench_dict:CapabilityIsAWord"
requires = "kvbench_dict:RequiresIsAWord"
unfinished = "kvbench_dict:Unfinished"
nothing = "kvbench_dict:nothing"

[tool.setuptools]
py-modules = ["kvbench_dict"]
"""

USE = """
import kvbench
with kvbench.open_backend("dict://") as store:
    store.mset({"a": b"1", "b": b"2"})
    print(store.mget(["b", "x", "a"]), store.mdel(["a", "a"]), store.batch_kind("mget"))
for url in ("driverless://", "broken://"):
    try:
        kvbench.open_backend(url)
    except kvbench.errors.BackendUnavailableError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed a third party's adapter package."""

    def install(folder: Path) -> Path:
        project, site = folder / "project", folder / "site"
        project.mkdir()
        (project / "pyproject.toml").write_text(PROJECT)
        (project / "kvbench_dict.py").write_text(ADAPTER)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--target", str(site), str(project)], check=True, timeout=100)
        return site

    return built_once(tmp_path_factory, "third-party-adapter", install)


def run(site: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=60
    ).stdout


def test_a_third_partys_adapter_works_through_its_entry_point(third_party):
    lines = run(third_party, "-c", "import kvbench.errors\n" + USE).splitlines()
    assert lines[0] == "[b'2', None, b'1'] 1 emulated"
    assert "a_driver_that_nobody_has" in lines[1] and "pip install a-driver" in lines[1]
    assert "cannot be imported" in lines[2] and "kvbench-dict" in lines[2]


def test_kvbench_backends_lists_it_with_our_own(third_party):
    listed = run(third_party, "-m", "kvbench", "backends")
    for text in ("dict://", "a dict", "pip install a-driver", "memory://", "native: mget"):
        assert text in listed


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ("kind", "KindIsAWord.batch_kinds has 'native' for mget: write BatchKind.NATIVE"),
        ("nobatch", "batch_kinds names 'get': there are mget, mset, mdel, mexists, mset_each"),
        ("capability", "CapabilityIsAWord.capabilities holds 'ttl': write Capability.TTL"),
        ("requires", "requires is 'redis': write a tuple of import names, (\"redis\",)"),
        ("unfinished", "Unfinished does not define close, delete, exists, get, set"),
        ("nothing", "is no subclass of kvbench.Backend or kvbench.AsyncBackend"),
    ],
)
@pytest.mark.parametrize("command", [pytest.param("check", marks=pytest.mark.thorough), "run"])
def test_an_adapter_that_is_written_wrongly_is_one_line(third_party, command, scheme, words):
    """Before, the words came as odd verdicts of the suite and the rest as tracebacks."""
    ended = subprocess.run(
        [sys.executable, "-m", "kvbench", command, f"{scheme}://"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(third_party)}, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 4, ended.stderr
    assert ended.stderr.count("\n") == 1 and words in ended.stderr, ended.stderr
    assert "check kvbench_dict:" in ended.stderr, "where to look"


def test_an_unknown_scheme_names_the_nearest_one():
    with pytest.raises(UnknownSchemeError, match="did you mean valkey://"):
        registry.open_backend("valky://host")
    with pytest.raises(UsageError, match="no target URL"):
        registry.open_backend("localhost:6379")


def test_a_missing_driver_is_reported_with_its_hint(monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'kvbench\[redis\]'"):
        registry.open_backend("redis://localhost")


def test_a_synchronous_target_is_not_opened_as_an_asynchronous_one():
    import asyncio

    with pytest.raises(UsageError, match="use open_backend"):
        asyncio.run(registry.open_async_backend("memory://"))
