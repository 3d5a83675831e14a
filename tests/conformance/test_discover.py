"""Discovery: what servers of all kinds are found to be able to do; the store stays clean."""

from __future__ import annotations

import pytest

from kvbench.conformance.profile import Profile
from kvbench.conformance.suites import BACKEND, WIRE
from kvbench.conformance.targets import discover, open_target
from kvbench.conformance.wire.discover import discover_wire
from kvbench.model import Capability
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, Status
from tests.conformance.broken_servers import ThreadedDispatcher, serving


class Without(ThreadedDispatcher):
    """A server that lacks some operations."""

    def __init__(self, *missing, status=Status.INVALID):
        super().__init__()
        self.missing = missing
        self.status = status

    def handle(self, opcode, payload):
        if opcode in self.missing:
            return responses.message_response(self.status, "no such operation")
        return super().handle(opcode, payload)


class YesToAll(ThreadedDispatcher):
    """Grants every opcode."""

    def handle(self, opcode, payload):
        return responses.EMPTY_RESPONSE if opcode == 0x3F else super().handle(opcode, payload)


class HangsUp(ThreadedDispatcher):
    """Hangs up on opcodes that it does not know, and knows no batches."""

    def handle(self, opcode, payload):
        if opcode in (0x3F, Opcode.MGET, Opcode.MSET, Opcode.MDEL, Opcode.HELLO):
            raise OSError("hang up")
        return super().handle(opcode, payload)


class Announces(ThreadedDispatcher):
    """Announces what it likes."""

    def __init__(self, reply):
        super().__init__()
        self.reply = reply

    def _hello(self, payload):
        return responses.ok_response(self.reply)

    def _mexists(self, payload):
        return responses.message_response(Status.ERROR, "broken")


class NoNewCounters(ThreadedDispatcher):
    """Wrong: refuses to count from nothing. It has INCR all the same."""

    def _incr(self, payload):
        key, _ = requests.parse_counter(payload)
        if not self._engine.exists(key):
            return responses.message_response(Status.ERROR, "no such counter")
        return super()._incr(payload)


def find(dispatcher):
    with serving(dispatcher) as port:
        return discover_wire("127.0.0.1", port)


def test_a_server_with_everything():
    found, facts = find(ThreadedDispatcher())
    assert found == WIRE.vocabulary
    assert "not found" not in facts
    assert facts["version"]


@pytest.mark.parametrize("status", [Status.INVALID, Status.ERROR])
def test_what_is_refused_is_not_there_and_the_refusal_is_told(status):
    found, facts = find(Without(Opcode.CAS, Opcode.TTL, Opcode.LOCK, status=status))
    assert WIRE.vocabulary - found == {"cas", "lock"}, "ttl is announced, so it is checked"
    assert "cas (no such operation)" in facts["not found"]


def test_a_server_of_the_family_without_extensions():
    extensions = [opcode for opcode in Opcode if opcode >= 0x40]
    found, facts = find(Without(*extensions))
    family = {opcode.name.lower() for opcode in Opcode if opcode < 0x40}
    assert found == family & WIRE.vocabulary | WIRE.unlisted
    assert facts["wire capabilities"] == "found by asking for each"


def test_a_server_that_accepts_everything_is_doubted():
    found, facts = find(YesToAll())
    assert found
    assert "unreliable" in facts["wire capabilities"]
    assert "3F" in facts["wire capabilities"]


def test_a_server_that_hangs_up_on_what_it_does_not_know():
    found, facts = find(HangsUp())
    assert not found & {"mget", "mset", "mdel", "hello", "atomic-batch"}
    assert {"incr", "cas", "ttl"} <= found
    assert "mget (no answer)" in facts["not found"]


def test_what_is_announced_counts_even_when_it_is_refused():
    found, _ = find(Announces(requests.hello_payload(1, ["mexists", "atomic-batch", "x-own"])))
    assert {"hello", "mexists", "atomic-batch", "msetex"} <= found
    assert "x-own" not in found


def test_a_hello_that_makes_no_sense_is_a_hello_still():
    found, _ = find(Announces(b"\x00"))
    assert "hello" in found
    assert "atomic-batch" not in found


def test_an_operation_that_works_only_on_what_is_there_is_found():
    assert "incr" in find(NoNewCounters())[0]


def test_no_key_is_left_behind():
    dispatcher = ThreadedDispatcher()
    find(dispatcher)
    assert len(dispatcher._engine) == 0


def test_a_profile_wins_and_says_so():
    profile = Profile(capabilities=("mget", "ttl"))
    with open_target("memory://") as target:
        found = discover(target, profile)
    assert found.capabilities == {BACKEND: {"ttl"}}
    assert found.facts["backend capabilities"] == "declared by the profile"


def test_adapters_say_what_they_can_do():
    with open_target("memory://") as target:
        found = discover(target, Profile())
    assert found.capabilities == {BACKEND: frozenset(Capability) - {"shared", "pipelining"}}


def test_both_suites_of_one_target():
    with open_target("kvb+async://") as target:
        found = discover(target, Profile(capabilities={"wire": ("mget",)}))
        alone = discover(target, Profile(), frozenset({BACKEND}))
    assert set(alone.capabilities) == {BACKEND}
    assert "wire capabilities" not in alone.facts
    assert found.capabilities[WIRE] == {"mget"} | WIRE.unlisted, "no type is listed: all count"
    assert found.capabilities[BACKEND] == BACKEND.vocabulary
