"""The translation of drivers' errors: which row of a table an error finds, and what passes."""

import pytest
from kvbench_backends.foreign_errors import Translation

from kvbench.errors import KvConnectionError, KvRefusedError, KvServerError, KvTimeoutError


class DriverError(Exception):
    """The root of a driver's errors."""


class DriverTimeoutError(DriverError, TimeoutError):
    """Two rows of the table are its bases."""


TRANSLATED = Translation(
    lambda: {
        DriverError: lambda error: KvRefusedError(f"refused: {error}"),
        OSError: lambda error: KvConnectionError(str(error)),
        LookupError: lambda error: None,
    }
)


def raise_translated(error):
    with TRANSLATED:
        raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DriverError("full"), KvRefusedError),
        (DriverTimeoutError("slow"), KvRefusedError),
        (ConnectionResetError("cut"), KvConnectionError),
    ],
)
def test_the_nearest_class_decides_and_the_drivers_error_is_not_shown(error, expected):
    with pytest.raises(expected) as caught:
        raise_translated(error)
    assert type(caught.value) is expected and caught.value.__suppress_context__


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        KeyError("in the table"),
        KvTimeoutError(),
        KeyboardInterrupt(),
    ],
)
def test_others_pass_as_they_are(error):
    with pytest.raises(type(error)) as caught:
        raise_translated(error)
    assert caught.value is error


def test_no_error_asks_for_no_table():
    with Translation(lambda: pytest.fail("asked for")):
        pass


def test_a_refusal_by_a_store_has_no_status_of_the_wire():
    assert issubclass(KvServerError, KvRefusedError)
    assert not hasattr(KvRefusedError("full"), "status")
