"""The response to a request that raised: one for each kind of error, and no exception leaves."""

from __future__ import annotations

import logging

import pytest

from kvbench.errors import ProtocolError
from kvbench.protocol.frames import HEADER_BYTES
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.server import refusals
from kvbench.server.refusals import OUT_OF_MEMORY, RefusedRequest, refusal
from kvbench.server.reserve import Reserve


@pytest.fixture(autouse=True)
def reserve(monkeypatch):
    """A reserve that is not this process's."""
    fresh = Reserve()
    monkeypatch.setattr(refusals, "reserve", fresh)
    return fresh


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ProtocolError("no such opcode"), Status.INVALID, "no such opcode"),
        (RefusedRequest("the value is no Int"), Status.ERROR, "the value is no Int"),
        (MemoryError(), Status.ERROR, "out of memory"),
        (ZeroDivisionError("of ours"), Status.ERROR, "internal error in GET"),
    ],
)
def test_each_kind_of_error_has_its_response(error, status, words):
    response = refusal(Opcode.GET, error)
    assert response[0] == status
    assert words in response[HEADER_BYTES:].decode()


def test_the_first_end_of_memory_spends_the_reserve_and_is_logged_once(reserve, caplog):
    with caplog.at_level(logging.ERROR, "kvbench.server"):
        assert refusal(Opcode.SET, MemoryError()) == OUT_OF_MEMORY
        assert reserve.is_spent
        assert refusal(Opcode.SET, MemoryError()) == OUT_OF_MEMORY
    assert [record.getMessage() for record in caplog.records] == ["out of memory"]


def test_a_fault_of_the_server_is_logged_and_not_shown_to_the_client(caplog):
    with caplog.at_level(logging.ERROR, "kvbench.server"):
        response = refusal(Opcode.GET, ZeroDivisionError("a secret of ours"))
    assert b"secret" not in response
    [record] = caplog.records
    assert record.getMessage() == "GET failed" and record.facts == {"opcode": "GET"}


def test_where_even_the_response_finds_no_memory_there_is_one_made_in_advance(reserve):
    class UnprintableError(ProtocolError):
        def __str__(self):
            raise MemoryError

    assert refusal(Opcode.GET, UnprintableError("x")) == OUT_OF_MEMORY
    assert reserve.is_spent
