"""What others may send to a node of a log: anything. It ends their connection, and nothing else."""

from __future__ import annotations

import pytest

from paxos.codec import MalformedError
from paxos.log.messages import Learn
from paxos.log_codec import Encoder
from paxos.messages import Envelope, Identity
from paxos.runtime import log_connections, protocol
from paxos.runtime import log_protocol as wire
from runtime.event_loop import in_event_loop
from runtime.log_loopback import Ledger, LogLoopback

PEER = wire.encode(wire.LogPeerGreeting("shop", "B", "founder", "127.0.0.1:1"))
CLIENT = wire.encode(wire.LogClientGreeting("shop"))

BAD = {
    "noise": b"\xff" * 100,
    "another version": b"\0\0\0\1\xff.",
    "no greeting": wire.encode(wire.AskLogStatus(1)),
    "a peer of one decision": protocol.encode(protocol.PeerGreeting("shop", "B", "first")),
    "another cluster": wire.encode(wire.LogClientGreeting("bank")),
    "this node's own name": wire.encode(wire.LogPeerGreeting("shop", "A", "x", "127.0.0.1:1")),
    "a peer nowhere": wire.encode(wire.LogPeerGreeting("shop", "B", "x", "nowhere")),
    "a huge frame": CLIENT + b"\x7f\xff\xff\xff\1",
    "a call that is none": CLIENT + protocol.frame(b"\xc0"),
    "a peer's frame of no kind": PEER + protocol.frame(b"\7"),
    "a broken envelope": PEER + protocol.frame(wire.ENVELOPE + b"\x90"),
    "a broken part": PEER + protocol.frame(wire.PIECE + b"\x90"),
    "a peer for another": PEER
    + protocol.frame(
        wire.ENVELOPE
        + Encoder().envelope(Envelope(Identity("shop", "C", "founder"), "A", Learn(0)))
    ),
}


@pytest.mark.parametrize("said", BAD.values(), ids=BAD.keys())
@in_event_loop
async def test_what_is_not_the_protocol_is_hung_up_on(log_of_one: LogLoopback, said: bytes) -> None:
    async with log_of_one.serve("A") as server, log_of_one.speaking("A", said) as speaker:
        assert isinstance(await speaker.hear(), protocol.Refused)
        assert await speaker.is_hung_up_on()
        assert server.status().node_id == "A"


@in_event_loop
async def test_whoever_says_nothing_is_hung_up_on(
    log_of_one: LogLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_connections, "GREETING_PATIENCE", 0.01)
    async with log_of_one.serve("A"), log_of_one.speaking("A") as speaker:
        assert await speaker.is_hung_up_on()


@in_event_loop
async def test_a_client_that_reads_nothing_is_read_from_no_more(
    log_of_one: LogLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_connections, "MAX_PIPELINED", 4)
    query = Ledger.count.call("tea").payload
    calls = [wire.encode(wire.Ask(number, query, True)) for number in range(100)]
    async with log_of_one.serve("A"), log_of_one.speaking("A", CLIENT, *calls) as speaker:
        replies = [await speaker.hear() for _ in calls]
    assert [reply.number for reply in replies] == list(range(100))


@pytest.mark.parametrize("size", [1, 2, 7, 64, 100_000])
def test_frames_are_cut_alike_however_they_come(size: int) -> None:
    bodies = [b"", b"a", bytes(1000), b"b" * 70_000, b"end"]
    stream = b"".join(map(protocol.frame, bodies))
    frames, cut = wire.Frames(100_000), []
    for start in range(0, len(stream), size):
        cut += frames.cut(stream[start : start + size])
    assert cut == bodies


def test_a_frame_that_is_too_large_is_refused_before_it_comes() -> None:
    with pytest.raises(MalformedError, match="a frame of 11 bytes; at most 10"):
        list(wire.Frames(10).cut(protocol.frame(bytes(11))[:5]))
