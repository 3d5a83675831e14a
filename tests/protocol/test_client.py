"""The client's state machine: every rule, at every fragmentation, without a socket or a clock.

Each scripted conversation is played whole, byte by byte, and cut in two and in three at every
place; each must end the same. Random conversations are compared with a model that knows what the
server meant.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kvbench.errors import KvConnectionError, KvProtocolError, KvServerError, KvTimeoutError
from kvbench.protocol.client import MESSAGE_BYTES_MAX, ClientProtocol, message_of
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, Status

LIMIT = 100
TIMEOUT_S = 2.5
END = b""
"""The end of the server's stream."""

ONE, TWO, THREE = (frame(Status.OK, text) for text in (b"one", b"", b"three"))
NULL = frame(Status.NULL, b"")
BAD_NULL = frame(Status.NULL, b"x")
REFUSED = frame(Status.ERROR, b"too full")
OVERSIZE = b"\x00" + (LIMIT + 1).to_bytes(4, "big") + b"some of it"


def asking(count, protocol=None, now=0.0):
    """A machine with so many requests in flight, and the requests."""
    protocol = protocol or ClientProtocol("server", TIMEOUT_S, LIMIT)
    requests = [
        protocol.send(frame(Opcode.GET, b"k%d" % number), now, number) for number in range(count)
    ]
    protocol.data_to_send()
    return protocol, requests


def answers(requests):
    return [response for one in requests for response in one.responses]


def played(count, pieces):
    """The answers to ``count`` requests, and how the connection was left, after ``pieces``."""
    protocol, requests = asking(count)
    returned = [answered for piece in pieces for answered in protocol.receive(piece)]
    assert [one.waiter for one in returned] == list(range(len(returned))), "in their order"
    assert returned == [one for one in requests if one.responses]
    assert protocol.abandoned == (requests[len(returned) :] if protocol.is_closed else [])
    assert protocol.waiting_count == (0 if protocol.is_closed else count - len(returned))
    if not protocol.is_closed:
        assert protocol.is_usable and protocol.end_reason == ""
        return answers(requests), None, ""
    error = protocol.error()
    assert protocol.error() is not error, "each who waits has an error of their own"
    assert protocol.data_to_send() == b"" and protocol.receive(ONE) == []
    with pytest.raises(KvConnectionError):
        protocol.send(b"", 0.0, None)
    return answers(requests), type(error), str(error)


def cuts(stream):
    """Whole, byte by byte, and cut in two and in three at every place."""
    yield [stream]
    yield [stream[at : at + 1] for at in range(len(stream))]
    for one in range(1, len(stream)):
        yield [stream[:one], stream[one:]]
    for one, other in itertools.combinations(range(1, len(stream)), 2):
        yield [stream[:one], stream[one:other], stream[other:]]


OK_ONE, OK_TWO, OK_THREE = (0, b"one"), (0, b""), (0, b"three")
CLOSED = "the connection broke (the server closed it); requests in flight may have been applied"
TOO_LARGE = "a reply of 101 bytes is over the limit of 100"

# Requests in flight, what comes, whether the stream ends then; answers, error, its words.
SAME_AT_EVERY_CUT = {
    "nothing yet": (1, b"", False, [], None, ""),
    "each its answer": (3, ONE + TWO + THREE, False, [OK_ONE, OK_TWO, OK_THREE], None, ""),
    "refusals are answers": (
        2, REFUSED + NULL, False, [(2, b"too full"), (1, b"")], None, ""
    ),
    "statuses that the family does not have": (
        2, frame(99, b"x") + ONE, False, [(99, b"x"), OK_ONE], None, ""
    ),
    "the largest payload": (1, frame(0, bytes(LIMIT)), False, [(0, bytes(LIMIT))], None, ""),
    "the end, nothing in flight": (0, b"", True, [], KvConnectionError, CLOSED),
    "the end instead of an answer": (2, ONE, True, [OK_ONE], KvConnectionError, CLOSED),
    "the end in an answer": (2, ONE + THREE[:7], True, [OK_ONE], KvConnectionError, CLOSED),
    "the end in a header": (1, ONE[:3], True, [], KvConnectionError, CLOSED),
    "NULL with a payload": (
        3, ONE + BAD_NULL + THREE, False, [OK_ONE], KvProtocolError,
        "a NULL came with a payload",
    ),
    "too large": (2, ONE + OVERSIZE, False, [OK_ONE], KvProtocolError, TOO_LARGE),
    "too large, more in flight": (3, ONE + OVERSIZE, False, [OK_ONE], KvProtocolError, TOO_LARGE),
    "unasked": (0, ONE, False, [], KvProtocolError, "more responses came than were due"),
    "an unasked byte": (0, b"\x00", False, [], KvProtocolError, "more responses came"),
    "unasked and too large": (0, OVERSIZE, False, [], KvProtocolError, "more responses came"),
    "text of another protocol": (
        0, b"HTTP/1.1 400 Bad Request\r\n\r\n", True, [], KvProtocolError, "more responses came"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME_AT_EVERY_CUT)
def test_round_trip_of_a_conversation_is_the_same_at_every_cut(name):
    count, stream, is_ended, wanted, error, words = SAME_AT_EVERY_CUT[name]
    for pieces in cuts(stream):
        found = played(count, [*filter(None, pieces), *([END] if is_ended else [])])
        assert found[:2] == (wanted, error) and words in found[2], pieces


@pytest.mark.parametrize("counts", [(3,), (2, 1), (1, 2), (1, 1, 1)])
def test_round_trip_of_requests_that_go_together_are_answered_together(counts):
    """They take as many responses as there are of them, in any pieces."""
    said = [OK_ONE, OK_TWO, OK_THREE]
    for pieces in cuts(ONE + TWO + THREE):
        protocol, _ = asking(0)
        requests = [protocol.send(b"x" * count, 0.0, None, count) for count in counts]
        protocol.data_to_send()
        returned = [one for piece in pieces for one in protocol.receive(piece)]
        assert returned == requests and protocol.is_usable
        assert [response for one in requests for response in one.responses] == said
        assert tuple(len(one.responses) for one in requests) == counts
        assert [one.due_count for one in requests] == [0] * len(requests)


@pytest.mark.parametrize("excess", [ONE, ONE[:1], BAD_NULL, OVERSIZE, ONE * 3])
def test_more_than_was_due_closes_and_its_piece_is_discarded(excess):
    stream, due = ONE + THREE + excess, len(ONE + THREE)
    for pieces in cuts(stream):
        found, error, words = played(2, list(filter(None, pieces)))
        assert error is KvProtocolError and "more responses came than were due" in words
        edges = list(itertools.accumulate(map(len, filter(None, pieces))))
        before = max((edge for edge in edges if edge <= due), default=0)
        accepted = [OK_ONE] * (before >= len(ONE)) + [OK_THREE] * (before >= due)
        assert found == accepted, pieces


def test_an_unasked_error_turns_the_connection_away_and_its_message_is_as_much_as_came_at_once():
    for pieces in cuts(REFUSED + ONE):
        found, error, words = played(0, [*filter(None, pieces), END])
        assert (found, error) == ([], KvServerError)
        assert words == pieces[0][5:13].decode() or "without a message" in words
    protocol, _ = asking(0)
    waiting = protocol.send(frame(Opcode.GET, b"k"), 0.0, None)
    protocol.receive(REFUSED)
    assert protocol.end_reason == "server: the server rejected the connection: too full"
    assert protocol.abandoned == [waiting] and not waiting.is_sent
    assert (protocol.error().status, protocol.error().message) == (Status.ERROR, "too full")


def test_an_error_answers_the_request_in_flight():
    """A rejected connection and a refused request look the same to a client."""
    assert played(1, [REFUSED]) == ([(2, b"too full")], None, "")


def test_a_message_is_cut_to_what_a_person_may_want_to_read():
    assert message_of(b"sorry \xff") == "sorry \N{REPLACEMENT CHARACTER}"
    assert message_of(b"x" * MESSAGE_BYTES_MAX) == "x" * MESSAGE_BYTES_MAX
    assert message_of(b"x" * (MESSAGE_BYTES_MAX + 1)) == "x" * MESSAGE_BYTES_MAX + "..."


# --- Giving up, deadlines, ends ----------------------------------------------------------------


def test_what_was_given_up_before_it_was_sent_is_not_sent():
    protocol, _ = asking(0)
    kept, given_up, last = [protocol.send(b"%d" % number, 0.0, None) for number in range(3)]
    protocol.give_up(given_up)
    assert list(protocol.unsent()) == [kept, given_up, last] and protocol.waiting_count == 2
    assert protocol.data_to_send() == b"02" and protocol.data_to_send() == b""
    assert [one.is_sent for one in (kept, given_up, last)] == [True, False, True]
    assert protocol.receive(ONE + TWO) == [kept, last] and protocol.is_usable


def test_frames_are_handed_out_whole_and_in_portions():
    protocol, _ = asking(0)
    for number in range(5):
        protocol.send(b"%d" % number * 10, 0.0, None)
    assert protocol.data_to_send(15) == b"0" * 10 + b"1" * 10
    assert protocol.data_to_send(10) == b"2" * 10
    assert protocol.data_to_send() == b"3" * 10 + b"4" * 10


@pytest.mark.parametrize("given_up", [[0], [1], [2], [0, 1], [1, 2], [2, 0]])
def test_round_trip_of_a_draining_connection_ends_with_the_last_answer_that_is_waited_for(given_up):
    for pieces in cuts(ONE + TWO + THREE):
        protocol, requests = asking(3)
        for number in given_up:
            protocol.give_up(requests[number])
            protocol.give_up(requests[number])
        assert not protocol.is_usable and not protocol.is_closed
        with pytest.raises(KvConnectionError, match="takes no new requests"):
            protocol.send(b"", 0.0, None)
        returned = [one for piece in pieces for one in protocol.receive(piece)]
        kept = [one for number, one in enumerate(requests) if number not in given_up]
        assert returned == kept and protocol.is_closed and protocol.abandoned == []
        wanted = [OK_ONE, OK_TWO, OK_THREE]
        assert [one.responses for one in kept] == [[wanted[one.waiter]] for one in kept]
        assert "closed after a timeout" in protocol.end_reason


def test_everyone_given_up_closes_at_once():
    protocol, requests = asking(3)
    for request in requests:
        assert not protocol.is_closed
        protocol.give_up(request)
    assert protocol.is_closed and type(protocol.error()) is KvConnectionError


def test_the_last_of_a_draining_connection_may_be_given_up_unsent():
    protocol, requests = asking(1)
    queued = protocol.send(b"queued", 0.0, None)
    protocol.give_up(requests[0])
    protocol.give_up(queued)
    assert protocol.is_closed and protocol.data_to_send() == b""


def test_given_up_after_its_answer_leaves_the_connection_open():
    protocol, requests = asking(1)
    protocol.receive(ONE)
    protocol.give_up(requests[0])
    assert protocol.is_usable and protocol.waiting_count == 0


def test_a_draining_connection_sends_what_was_queued_before():
    protocol, requests = asking(1)
    queued = protocol.send(b"queued", 0.0, None)
    protocol.give_up(requests[0])
    assert protocol.data_to_send() == b"queued"
    assert protocol.receive(ONE + TWO) == [queued] and protocol.is_closed


def test_deadlines_are_numbers_that_the_driver_passes_in():
    protocol, early = asking(2, now=10.0)
    _, late = asking(1, protocol, now=11.0)
    unsent = protocol.send(b"unsent", 11.5, None)
    assert protocol.next_deadline == 12.5
    assert protocol.expire(12.49) == [] and protocol.is_usable
    protocol.receive(ONE)
    assert protocol.expire(12.5) == [early[1]]
    assert not protocol.is_usable and protocol.next_deadline == 13.5
    error = protocol.overdue_error(early[1])
    assert isinstance(error, KvTimeoutError)
    assert str(error) == "server: no answer within 2.5 s; the request may have been applied"
    assert protocol.expire(100.0) == [*late, unsent] and protocol.is_closed
    assert str(protocol.overdue_error(unsent)).endswith("; it was not sent")
    assert protocol.next_deadline == float("inf")


def test_the_first_end_is_the_reason():
    protocol, requests = asking(2)
    protocol.lose("reset by peer")
    protocol.close("the client was closed")
    protocol.receive(END)
    assert "reset by peer" in str(protocol.error()) and protocol.abandoned == requests
    protocol.give_up(requests[0])
    assert protocol.waiting_count == 0 and protocol.expire(1e9) == []


def test_a_reply_that_cannot_be_decoded_closes_the_connection_and_its_caller_gets_the_reason():
    protocol, requests = asking(3)
    protocol.receive(ONE)
    error = protocol.distrust(KvProtocolError("the server's reply makes no sense: it ends early"))
    assert str(error) == (
        "server: the server's reply makes no sense: it ends early; connection closed"
    )
    assert protocol.abandoned == requests[1:]
    assert type(protocol.error()) is KvConnectionError
    assert "earlier request was invalid" in str(protocol.error())


# --- Anything in any order ---------------------------------------------------------------------

statuses = st.sampled_from([Status.OK, Status.ERROR, Status.INVALID, 77])


@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=LIMIT + 20)), max_size=7),
    st.binary(max_size=8),
    st.booleans(),
    st.data(),
)
def test_round_trip_of_random_responses_cut_anywhere(count, responses, rest, is_ended, data):
    """Answered is a prefix of what was said; the connection stays open only if all was in order."""
    stream = b"".join([frame(*one) for one in responses]) + rest
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    edges = [0, *places, len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges) if a < b]
    found, error, _ = played(count, [*pieces, *([END] if is_ended else [])])
    sound = list(
        itertools.takewhile(
            lambda one: len(one[1]) <= LIMIT and not (one[0] == Status.NULL and one[1]),
            responses[:count],
        )
    )
    assert found == sound[: len(found)]
    has_excess = len(stream) > sum(len(frame(*one)) for one in responses[:count])
    if len(sound) == len(responses) and not rest and not is_ended:
        assert (found, error) == (sound, None)
    elif len(sound) < count and len(sound) < len(responses):
        assert error is KvProtocolError
    elif count <= len(responses) and has_excess:
        assert error in (KvProtocolError, KvServerError)
    else:
        assert found == sound


class Conversations(RuleBasedStateMachine):
    """Any calls in any order, against a server that answers each request in its place."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.protocol = ClientProtocol("server", TIMEOUT_S, LIMIT)
        self.requests, self.given_up, self.answered = [], set(), {}
        self.to_server = b""
        """What was sent: one byte is a request."""
        self.said, self.to_client = [], b""

    @rule()
    def ask(self):
        number = len(self.requests)
        try:
            request = self.protocol.send(bytes([number % 256]), self.now, number)
        except KvConnectionError:
            assert not self.protocol.is_usable
        else:
            self.requests.append(request)

    @rule(size=st.integers(1, 5))
    def flush(self, size):
        data = self.protocol.data_to_send(size)
        assert len(data) <= size
        self.to_server += data

    @precondition(lambda self: len(self.said) < len(self.to_server))
    @rule(status=statuses, payload=st.binary(max_size=6))
    def answer(self, status, payload):
        self.said.append((status, payload))
        self.to_client += frame(status, payload)

    @precondition(lambda self: self.to_client)
    @rule(size=st.integers(1, 12))
    def deliver(self, size):
        data, self.to_client = self.to_client[:size], self.to_client[size:]
        for request in self.protocol.receive(data):
            assert request.waiter not in self.given_up | set(self.answered)
            (self.answered[request.waiter],) = request.responses

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def give_up(self, data):
        request = data.draw(st.sampled_from(self.requests))
        if request.is_waited_for:
            self.given_up.add(request.waiter)
        self.protocol.give_up(request)

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds):
        self.now += seconds
        for request in self.protocol.expire(self.now):
            assert request.deadline <= self.now
            self.given_up.add(request.waiter)
        assert self.protocol.next_deadline > self.now

    @invariant()
    def each_answer_is_its_own(self):
        sent = [one for one in self.requests if one.is_sent]
        assert bytes([one.waiter % 256 for one in sent]) == self.to_server
        for place, request in enumerate(sent):
            if request.waiter in self.answered:
                assert self.answered[request.waiter] == self.said[place]

    @invariant()
    def it_drains_exactly_when_a_response_belongs_to_no_caller(self):
        cut_off = [one for one in self.requests if one.is_sent and one.waiter in self.given_up]
        waiting = [one for one in self.requests if one.is_waited_for]
        assert self.protocol.waiting_count == len(waiting)
        if cut_off:
            assert not self.protocol.is_usable and self.protocol.is_closed is (not waiting)
        assert self.protocol.abandoned == []


TestConversations = Conversations.TestCase
