"""Registry: schemes come from entry points, a third party's as well as ours, and errors help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvbench import registry
from kvbench.errors import BackendUnavailableError, UnknownSchemeError, UsageError

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
    """A folder into which pip installed somebody else's adapter package."""
    project = tmp_path_factory.mktemp("project")
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "kvbench_dict.py").write_text(ADAPTER)
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(project)], check=True, timeout=100)
    return site


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


def test_kvbench_backends_lists_it_beside_our_own(third_party):
    listed = run(third_party, "-m", "kvbench", "backends")
    for text in ("dict://", "a dict", "pip install a-driver", "memory://", "mget native"):
        assert text in listed


def test_an_unknown_scheme_names_the_nearest_one():
    with pytest.raises(UnknownSchemeError, match="did you mean valkey://"):
        registry.open_backend("valky://host")
    with pytest.raises(UsageError, match="no target URL"):
        registry.open_backend("localhost:6379")


def test_a_missing_driver_is_told_with_its_hint(monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'kvbench\[redis\]'"):
        registry.open_backend("redis://localhost")


def test_a_synchronous_target_is_not_opened_as_an_asynchronous_one():
    import asyncio

    with pytest.raises(UsageError, match="use open_backend"):
        asyncio.run(registry.open_async_backend("memory://"))
