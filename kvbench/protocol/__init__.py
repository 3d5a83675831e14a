"""The wire codec, without I/O: one codec serves the server and the clients.

``opcodes`` the numbers · ``values`` typed values, with ``layout``, ``encode``, ``decode``,
``check`` and ``compare`` · ``frames`` splits the byte stream into frames · ``requests`` (with
``parsers``) and ``responses`` the messages, encoding and parsing side by side · ``client`` the
client's side of a connection.

mypyc compiles the modules in :data:`COMPILED_MODULES` if there is a C compiler at install time.
``KVBENCH_PURE=1`` in the environment runs their Python source instead, so that both can be tested
and compared on one machine; :data:`CODEC` says which one runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

COMPILED_MODULES = (
    "layout",
    "encode",
    "decode",
    "check",
    "compare",
    "values",
    "frames",
    "client",
    "parsers",
    "requests",
    "responses",
)
"""In the order of their imports. setup.py compiles the same."""


def _load_pure() -> None:
    for name in COMPILED_MODULES:
        full_name = f"{__name__}.{name}"
        path = str(Path(__file__).with_name(f"{name}.py"))
        loader = SourceFileLoader(full_name, path)
        spec = importlib.util.spec_from_file_location(full_name, path, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[full_name] = module
        loader.exec_module(module)
        setattr(sys.modules[__name__], name, module)


if os.environ.get("KVBENCH_PURE", "") not in ("", "0"):
    _load_pure()

_values_file = importlib.import_module(f"{__name__}.values").__file__ or ""
CODEC = "pure" if _values_file.endswith(".py") else "compiled"
"""Which codec runs in this process: ``"compiled"`` or ``"pure"``."""
