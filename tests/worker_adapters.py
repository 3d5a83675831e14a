"""Backends of tests for the workers of `kvbench run`, which are processes of their own.

They find backends as they find a third party's: by the entry points of an installed package. Here
that is a directory on PYTHONPATH with the metadata of one.
"""

from __future__ import annotations

import os
from pathlib import Path


def publish(directory: Path, monkeypatch, module: Path, **backends: str) -> None:
    """Let processes that are started from now on find the classes of a module as backends.

    Args:
        directory: where the package's metadata goes.
        monkeypatch: sets PYTHONPATH until the test ends.
        module: the file that holds the classes.
        backends: scheme to the name of its class.
    """
    info = directory / "adapters_of_a_test-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: adapters-of-a-test\nVersion: 1.0\n"
    )
    lines = [f"{scheme} = {module.stem}:{name}" for scheme, name in backends.items()]
    (info / "entry_points.txt").write_text("\n".join(["[kvbench.backends]", *lines]) + "\n")
    root = Path(__file__).parents[1]
    paths = [*map(str, (directory, module.parent, root)), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([path for path in paths if path]))
