"""A synchronous interface to an asynchronous backend, on a separate event loop.

For scripts and checks that want one interface for every target. Each call enters the loop, which
costs time, so the benchmark does not use it: it calls asynchronous backends inside their loop.

The wrapper declares what the wrapped adapter declares, also as a class.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import update_abstractmethods
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Self, TypeVar

from kvbench.backend import AsyncBackend, Backend, BackendDescription
from kvbench.errors import KvConnectionError, UsageError

_T = TypeVar("_T")


class BlockingBackend(Backend):
    """Every method of :class:`Backend`, run to its end on a private event loop.

    Attributes:
        inner: the wrapped asynchronous backend.
    """

    def __init__(self, inner: AsyncBackend, runner: asyncio.Runner) -> None:
        self.inner = inner
        self._runner = runner
        self._is_open = True

    @classmethod
    def over(cls, backend: type[AsyncBackend], url: str) -> BlockingBackend:
        """Open ``url`` with the asynchronous adapter ``backend``; errors as its ``open``."""
        runner = asyncio.Runner()
        try:
            return cls.around(runner.run(backend.open(url)), runner)
        except BaseException:
            runner.close()
            raise

    @classmethod
    def around(cls, inner: AsyncBackend, runner: asyncio.Runner) -> BlockingBackend:
        """Wrap an open backend that uses the runner's loop; closing the wrapper closes both."""
        declared = {name: getattr(inner, name) for name in BackendDescription.__annotations__}
        face = type(f"Blocking{type(inner).__name__}", (cls,), declared)
        blocking: BlockingBackend = face(inner, runner)
        return blocking

    @classmethod
    def open(cls, url: str) -> Self:
        """Not available: use :meth:`over`."""
        raise UsageError("a BlockingBackend wraps an asynchronous one: use BlockingBackend.over")

    def close(self) -> None:
        """Close the backend, then its loop."""
        if self._is_open:
            self._is_open = False
            self._runner.run(self.inner.close())
            self._runner.close()

    def _run(self, call: Coroutine[Any, Any, _T]) -> _T:
        if not self._is_open:
            call.close()
            raise KvConnectionError("this backend is closed: open it again")
        return self._runner.run(call)

    def describe(self) -> Mapping[str, str]:
        """As the wrapped backend."""
        return self.inner.describe()


def _face_of(name: str) -> Callable[..., Any]:
    """A method of the wrapped backend, run to its end."""

    @wraps(getattr(Backend, name), updated=())  # What is abstract there is not so here.
    def method(self: BlockingBackend, *arguments: Any, **named: Any) -> Any:
        return self._run(getattr(self.inner, name)(*arguments, **named))

    return method


for _name, _method in inspect.getmembers(AsyncBackend, inspect.iscoroutinefunction):
    if _name not in vars(BlockingBackend) and not _name.startswith("_"):
        setattr(BlockingBackend, _name, _face_of(_name))
update_abstractmethods(BlockingBackend)  # type: ignore[type-abstract]  # Not any more.
