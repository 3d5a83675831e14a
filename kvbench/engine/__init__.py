"""The in-memory store: a dict and its deadlines. It does not interpret keys and values."""

from __future__ import annotations

from kvbench.engine.deadlines import Deadlines
from kvbench.engine.engine import Engine, Update

__all__ = ["Deadlines", "Engine", "Update"]
