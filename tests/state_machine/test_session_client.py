"""A client's own side of its session."""

from __future__ import annotations

import pytest

from paxos.errors import MisuseError
from paxos.log.entries import Commands
from paxos.replica import Replica
from paxos.sessions import ClientRequest, Outcome, SessionClient, SessionID, Verdict, decode_request
from state_machine.machines import Journal, apply_next, opening

ID = SessionID(3, 1)


def test_requests_are_numbered_from_0_and_say_what_is_acknowledged() -> None:
    client = SessionClient(ID)
    for sequence in range(3):
        assert client.request(b"x")[0] == sequence
    assert client.receive(Outcome(ID, 1, Verdict.ANSWERED))
    assert client.receive(Outcome(ID, 0, Verdict.ANSWERED))
    sequence, data = client.request(b"y")
    assert decode_request(data) == ClientRequest(ID, 3, 2, b"y")
    assert (client.waiting, client.acknowledged_below) == ((2, 3), 2)


def test_when_all_are_answered_all_are_acknowledged() -> None:
    client = SessionClient(ID)
    client.request(b"x")
    client.receive(Outcome(ID, 0, Verdict.REJECTED))
    assert client.acknowledged_below == 1


def test_an_answer_that_nobody_waits_for_is_told_apart() -> None:
    client = SessionClient(ID)
    client.request(b"x")
    assert not client.receive(Outcome(SessionID(9, 9), 0, Verdict.ANSWERED))
    assert not client.receive(Outcome(ID, 5, Verdict.ANSWERED))
    assert client.receive(Outcome(ID, 0, Verdict.ANSWERED))
    assert not client.receive(Outcome(ID, 0, Verdict.ANSWERED))


def test_beyond_its_window_it_makes_no_request() -> None:
    client = SessionClient(ID, window=2)
    client.request(b"x")
    client.request(b"x")
    assert client.is_full
    with pytest.raises(MisuseError, match="request 0 first needs an answer"):
        client.request(b"x")
    client.receive(Outcome(ID, 1, Verdict.ANSWERED))
    assert client.is_full, "the lowest one counts"
    client.receive(Outcome(ID, 0, Verdict.ANSWERED))
    assert not client.is_full


def test_a_request_is_sent_again_with_the_same_sequence() -> None:
    client = SessionClient(ID)
    sequence, data = client.request(b"x")
    assert client.encoded(sequence) == data
    client.receive(Outcome(ID, sequence, Verdict.ANSWERED))
    with pytest.raises(MisuseError, match="not waiting"):
        client.encoded(sequence)


def test_a_command_that_is_no_bytes_takes_no_number() -> None:
    client = SessionClient(ID)
    with pytest.raises(MisuseError, match="no request"):
        client.request("x")  # type: ignore[arg-type]  # that is the point
    assert client.request(b"x")[0] == 0


def test_what_it_gives_up_is_applied_before_its_next_request_or_never() -> None:
    replica = Replica(Journal)
    (opened,) = apply_next(replica, opening(1))
    assert opened.session is not None
    client = SessionClient(opened.session)
    first, lost = client.request(b"given up")
    client.give_up(first)
    _, data = client.request(b"next")
    apply_next(replica, Commands((data, lost)))
    assert replica.machine.lines == ["next"]
