"""The in-memory store: a dict, with deadlines beside it. Keys and values are opaque to it."""

from __future__ import annotations

from kvbench.engine.deadlines import Deadlines
from kvbench.engine.engine import Engine, Update

__all__ = ["Deadlines", "Engine", "Update"]
