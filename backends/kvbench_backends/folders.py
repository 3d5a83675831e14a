"""Checks the folder of a store: one that holds other data is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kvbench.errors import KvConnectionError, UsageError

_NAMES_SHOWN = 3


def check_folder(folder: Path, is_own: Callable[[], bool]) -> None:
    """Refuse a folder that is neither absent nor empty nor kvbench's own.

    Args:
        folder: of the store; it may be absent.
        is_own: whether the store in it is kvbench's; it looks without changing anything, and is
            asked only when there are files.

    Raises:
        UsageError: the folder holds other data. It is unchanged.
        KvConnectionError: it is no folder, or cannot be read.
    """
    try:
        names = sorted([path.name for path in folder.iterdir()])
    except FileNotFoundError:
        return
    except OSError as error:
        raise KvConnectionError(f"{folder}: {error.strerror}") from None
    if names and not is_own():
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        raise UsageError(
            f"{folder} holds data that is not kvbench's ({shown}), and is not changed: "
            "name a new folder"
        )
