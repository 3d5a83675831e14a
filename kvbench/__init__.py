"""kvbench: checks that a key-value store keeps its promises, and measures the gain of batching.

``kvbench.open_backend(url)`` opens any target; ``kvbench.client`` has clients for servers of the
wire protocol; the ``kvbench`` command does the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvbench.backend import AsyncBackend, Backend
    from kvbench.registry import open_async_backend, open_backend
    from kvbench.simple_backend import SimpleBackend

__version__ = "0.1.0"
__all__ = [
    "AsyncBackend",
    "Backend",
    "SimpleBackend",
    "__version__",
    "open_async_backend",
    "open_backend",
]


def __getattr__(name: str) -> object:
    """Import names on first use, so that `kvbench --help` stays fast."""
    if name in ("Backend", "AsyncBackend"):
        from kvbench import backend

        return getattr(backend, name)
    if name == "SimpleBackend":
        from kvbench.simple_backend import SimpleBackend

        return SimpleBackend
    if name in ("open_backend", "open_async_backend"):
        from kvbench import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
