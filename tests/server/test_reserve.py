"""The memory reserve: used once, refused to requests that store, restored when memory is free."""

from __future__ import annotations

import mmap

import pytest

from kvbench.server.reserve import Reserve


@pytest.fixture
def reserve():
    return Reserve()


def held_bytes(reserve):
    return sum(map(len, reserve._held))


def no_memory(*_):
    raise OSError("no memory to map")


def test_an_unspent_reserve_is_held_whatever_requests_do(reserve):
    before = held_bytes(reserve)
    reserve.withhold()
    reserve.release()
    assert held_bytes(reserve) == before > 0 and not reserve.is_spent


def test_a_spent_reserve_is_given_away_whole_and_stays_spent(reserve):
    reserve.spend()
    reserve.spend()
    assert held_bytes(reserve) == 0 and reserve.is_spent


def test_while_memory_is_short_half_is_withheld_from_requests_that_store(reserve, monkeypatch):
    whole = held_bytes(reserve)
    monkeypatch.setattr(mmap, "mmap", no_memory)
    reserve.spend()
    reserve.withhold()
    assert held_bytes(reserve) == whole // 2 and reserve.is_spent
    reserve.withhold()
    assert held_bytes(reserve) == whole // 2, "it is not withheld twice"
    reserve.release()
    assert held_bytes(reserve) == 0 and reserve.is_spent


def test_where_twice_as_much_can_be_had_the_reserve_is_whole_again(reserve):
    whole = held_bytes(reserve)
    reserve.spend()
    reserve.withhold()
    assert held_bytes(reserve) == whole and not reserve.is_spent
    reserve.release()
    assert held_bytes(reserve) == whole
