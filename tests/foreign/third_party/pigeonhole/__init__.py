"""A key-value store in a folder: one file for each key, named after the key's digest.

The operating system does what a store has to do: a file takes another's place in one step, so that
a reader sees the old value or the new one and never a part. Batches are left to kvbench's loops.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from kvbench.backend import Backend
from kvbench.errors import KvConnectionError, KvRefusedError, UnsupportedError, UsageError
from kvbench.model import Capability, Value, check_bytes, check_key


class PigeonholeBackend(Backend):
    """``pigeonhole:///folder``; the folder is made when it is not there."""

    summary = "One file for each key"
    url_example = "pigeonhole:///tmp/pigeonhole"
    capabilities = frozenset({Capability.SHARED})

    def __init__(self, folder: Path) -> None:
        self._folder: Path | None = folder

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the store in a folder."""
        scheme, _, folder = url.partition("://")
        if scheme != "pigeonhole" or not folder:
            raise UsageError(f"{url!r}: write {cls.url_example}")
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KvConnectionError(f"{folder}: {error.strerror}") from None
        return cls(Path(folder))

    def close(self) -> None:
        """Let go of the folder. What is in it stays."""
        self._folder = None

    def describe(self) -> Mapping[str, str]:
        """Names the product."""
        return {"product": "pigeonhole", "version": "1.0"}

    def get(self, key: str) -> Value:
        """The file's content."""
        with self._hole(key) as path:
            return path.read_bytes()
        return None

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """Write a file beside the key's, which then takes its place."""
        if ttl is not None:
            check_key(key)
            raise UnsupportedError("PigeonholeBackend does not support ttl")
        content = check_bytes(key, value)
        with self._hole(key) as path:
            draft = path.with_name(f".draft-{uuid.uuid4().hex}")
            draft.write_bytes(content)
            draft.replace(path)

    def delete(self, key: str) -> bool:
        """Remove the file: of several at once, one removes it."""
        with self._hole(key) as path:
            path.unlink()
            return True
        return False

    def exists(self, key: str) -> bool:
        """Whether there is a file."""
        with self._hole(key) as path:
            return path.exists()
        return False

    @contextlib.contextmanager
    def _hole(self, key: str) -> Iterator[Path]:
        """The key's file. When it is not there the block ends; other errors are the store's."""
        check_key(key)
        if self._folder is None:
            raise KvConnectionError("this backend is closed: open it again")
        try:
            yield self._folder / hashlib.sha256(key.encode()).hexdigest()
        except FileNotFoundError:
            return
        except OSError as error:
            raise KvRefusedError(f"{self._folder}: {error.strerror}") from None
