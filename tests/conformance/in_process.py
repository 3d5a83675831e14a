"""A backend class as a target, on a clock that cases can move."""

from __future__ import annotations

from kvbench.backend import Backend
from kvbench.clock import ManualClock
from kvbench.conformance.target import Target


class InProcess(Target):
    """A backend class as a target, on a clock that cases can move."""

    @classmethod
    def of(cls, backend: type[Backend]) -> InProcess:
        clock = ManualClock()
        return cls(backend.__name__, url="memory://", store=backend(clock), clock=clock)

    def another_store(self) -> Backend:
        return type(self.store)()
