"""What is written in words is read back as the very same object; what is no word is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos.errors import MisuseError
from paxos.heartbeat import HeartbeatNode, Stance
from paxos.messages import (
    NO_VALUE,
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Identity,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Request,
)
from paxos.node import DurableState, Node, Phase
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.quorum import Quorums
from paxos.scenario.cluster import CLUSTER_NAME
from paxos.scenario.words import (
    MAX_VALUE_BYTES,
    parse_accepted,
    parse_envelope,
    parse_id,
    parse_id_or_none,
    parse_message,
    parse_node_id,
    parse_proposal,
    parse_seconds,
    parse_value,
    split_words,
    text_of_accepted,
    text_of_durable,
    text_of_envelope,
    text_of_id,
    text_of_message,
    text_of_node,
    text_of_proposal,
    text_of_seconds,
    text_of_value,
)
from paxos.timing import Timing

A1, B2 = ProposalID(1, "A"), ProposalID(2, "B")
X = Proposal(A1, "x")

node_ids = st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True)
proposal_ids = st.builds(ProposalID, st.integers(1, 10**18 - 1), node_ids)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_VALUE_BYTES // 4)
proposals = st.builds(Proposal[str], proposal_ids, values)
accepted = st.just(NOTHING_ACCEPTED) | proposals
seconds = st.floats(allow_nan=False, allow_infinity=False)
ids_or_none = st.just(NO_PROPOSAL) | proposal_ids

messages: st.SearchStrategy[Message[str]] = st.one_of(
    st.builds(Prepare, proposal_ids),
    st.builds(Promise[str], proposal_ids, accepted),
    st.builds(Accept[str], proposals),
    st.builds(Accepted[str], proposals),
    st.builds(Nack, proposal_ids, proposal_ids),
    st.builds(Chosen[str], proposals),
    st.builds(Request[str], values),
    st.builds(Heartbeat, ids_or_none, seconds),
    st.builds(HeartbeatAnswer, ids_or_none, seconds),
)
identities = st.builds(Identity, st.just(CLUSTER_NAME), node_ids, st.integers(1, 10**6).map(str))
envelopes = st.builds(Envelope[Message[str]], identities, node_ids, messages)


@given(envelopes)
def test_any_envelope_is_read_back(envelope: Envelope[Message[str]]) -> None:
    text = text_of_envelope(envelope)
    assert "\n" not in text
    assert parse_envelope(split_words(text)) == envelope


@given(messages)
def test_any_message_is_read_back(message: Message[str]) -> None:
    assert parse_message(split_words(text_of_message(message))) == message


@given(values)
def test_any_value_is_read_back(value: str) -> None:
    (word,) = split_words(text_of_value(value))
    assert parse_value(word) == value


@given(seconds)
def test_any_instant_is_read_back(instant: float) -> None:
    assert parse_seconds(text_of_seconds(instant)) == instant


@given(ids_or_none)
def test_any_proposal_id_is_read_back(proposal_id: ProposalID) -> None:
    assert parse_id_or_none(text_of_id(proposal_id)) == proposal_id


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Prepare(A1), "prepare 1.A"),
        (Promise(B2, NOTHING_ACCEPTED), "promise 2.B nothing"),
        (Promise(B2, X), "promise 2.B 1.A=x"),
        (Accept(X), "accept 1.A=x"),
        (Accepted(X), "accepted 1.A=x"),
        (Nack(A1, B2), "nack 1.A promised 2.B"),
        (Chosen(X), "chosen 1.A=x"),
        (Request("x"), "request x"),
        (Heartbeat(A1, 0.35), "heartbeat 1.A round 0.35"),
        (Heartbeat(NO_PROPOSAL, 0.35), "heartbeat none round 0.35"),
        (HeartbeatAnswer(A1, 0.35), "answer 1.A round 0.35"),
    ],
)
def test_messages_read_like_what_they_say(message: Message[str], text: str) -> None:
    assert text_of_message(message) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        ("a-b.c/d+1", "a-b.c/d+1"),
        ("größe", "größe"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("line\nbreak", '"line\\nbreak"'),
    ],
)
def test_plain_values_stand_bare_and_others_in_quotes(value: str, text: str) -> None:
    assert text_of_value(value) == text


def test_quoted_text_belongs_together() -> None:
    assert split_words('propose A "two words"  x="y z"') == [
        "propose",
        "A",
        '"two words"',
        'x="y z"',
    ]


def test_an_accepted_proposal_may_be_nothing() -> None:
    assert parse_accepted("nothing") is NOTHING_ACCEPTED
    assert parse_accepted("1.A=nothing") == Proposal(A1, "nothing")
    assert text_of_accepted(X) == text_of_proposal(X) == "1.A=x"


def test_a_sender_on_another_disk_is_told_apart() -> None:
    first = Envelope(Identity(CLUSTER_NAME, "A", "1"), "B", Prepare(A1))
    second = Envelope(Identity(CLUSTER_NAME, "A", "2"), "B", Prepare(A1))
    assert text_of_envelope(first) == "A>B prepare 1.A"
    assert text_of_envelope(second) == "A:2>B prepare 1.A"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('propose A "x', "a quotation mark is never closed"),
        ('x" y', "a quotation mark is never closed"),
    ],
)
def test_a_quotation_mark_must_be_closed(line: str, complaint: str) -> None:
    with pytest.raises(MisuseError, match=complaint):
        split_words(line)


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("a b", "no plain word"),
        ("a=b", "no plain word"),
        ("", "no plain word"),
        ('"x', "no text in double quotes"),
        ('"x"y', "no text in double quotes"),
        ('"\\ud800"', "half a character"),
        ("x" * (MAX_VALUE_BYTES + 1), f"at most {MAX_VALUE_BYTES}"),
    ],
)
def test_what_is_no_value_is_refused(word: str, complaint: str) -> None:
    with pytest.raises(MisuseError, match=complaint):
        parse_value(word)


@pytest.mark.parametrize("word", ["", "A>B", "A.B", "a b", "A-B", "Ä", "A" * 65])
def test_what_names_no_node_is_refused(word: str) -> None:
    with pytest.raises(MisuseError, match="names no node"):
        parse_node_id(word)


@pytest.mark.parametrize("word", ["", "soon", "nan", "inf", "-inf", "1e999"])
def test_what_is_no_time_is_refused(word: str) -> None:
    with pytest.raises(MisuseError, match="no number of seconds"):
        parse_seconds(word)


@pytest.mark.parametrize(
    "word", ["", "none", "1", "1.", ".A", "0.A", "01.A", "-1.A", "1.A-B", "9" * 19 + ".A"]
)
def test_what_is_no_proposal_id_is_refused(word: str) -> None:
    with pytest.raises(MisuseError, match="no proposal ID"):
        parse_id(word)


@pytest.mark.parametrize("word", ["", "1.A", "x"])
def test_a_proposal_has_an_id_and_a_value(word: str) -> None:
    with pytest.raises(MisuseError, match="no proposal"):
        parse_proposal(word)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "begins no message: it is one of prepare, promise"),
        ("demand 1.A", "'demand' begins no message"),
        ("prepare", "write prepare ID"),
        ("prepare 1.A 2.B", "write prepare ID"),
        ("promise 1.A", r"write promise ID nothing\|PROPOSAL"),
        ("nack 1.A refused 2.B", "write nack ID promised ID"),
        ("heartbeat 1.A at 0.5", r"write heartbeat ID\|none round SECONDS"),
        ("answer 1.A round", r"write answer ID\|none round SECONDS"),
    ],
)
def test_what_is_no_message_is_refused_with_what_could_stand_there(
    words: str, complaint: str
) -> None:
    with pytest.raises(MisuseError, match=complaint):
        parse_message(words.split())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "begin with A>B"),
        ("prepare 1.A", "begin with A>B"),
        ("A>B", "begins no message"),
        ("A:>B prepare 1.A", "names no sender: write A, or A:2"),
        ("A:0>B prepare 1.A", "names no sender"),
        ("A>B>C prepare 1.A", "names no node"),
    ],
)
def test_what_is_no_envelope_is_refused(words: str, complaint: str) -> None:
    with pytest.raises(MisuseError, match=complaint):
        parse_envelope(words.split())


# States: only written, never read.

QUORUMS = Quorums.majority("ABC")
SELF = Identity(CLUSTER_NAME, "A", "1")


def test_a_disk_is_told_by_what_has_changed() -> None:
    before = DurableState[str](1, A1)
    after = DurableState(1, B2, X)
    assert text_of_durable(DurableState[str]()) == "nothing"
    assert text_of_durable(after) == "prepared 1, promised 2.B, accepted 1.A=x"
    assert text_of_durable(after, before) == "promised 2.B, accepted 1.A=x"


def test_a_node_is_told_by_its_roles() -> None:
    fresh = Node[str].recover(SELF, QUORUMS)
    assert text_of_node(fresh) == "promised none, accepted nothing"
    preparing = fresh.propose("x").node
    assert text_of_node(preparing).endswith("wants x, prepares 1.A, promised by nobody yet")
    promised = preparing.handle("B", Promise(A1, NOTHING_ACCEPTED)).node
    assert text_of_node(promised).endswith("prepares 1.A, promised by B")
    leading = promised.handle("C", Promise(A1, NOTHING_ACCEPTED)).node
    assert text_of_node(leading).endswith("wants x, proposes 1.A=x")
    counting = leading.handle("B", Accepted(X)).node
    assert text_of_node(counting).endswith("counts B:1.A=x")
    knowing = counting.handle("C", Accepted(X)).node
    assert text_of_node(knowing).endswith("wants x, knows that 1.A=x is chosen")


def test_a_leader_without_a_value_is_told() -> None:
    node = Node[str].recover(SELF, QUORUMS).prepare().node
    for member in "BC":
        node = node.handle(member, Promise(A1, NOTHING_ACCEPTED)).node
    assert node.proposer.phase is Phase.LEADING
    assert node.proposer.value is NO_VALUE
    assert text_of_node(node).endswith("leads 1.A and has nothing to propose")


def test_a_node_with_heartbeats_is_told_by_its_stance_too() -> None:
    timing = Timing()
    node = HeartbeatNode[str].recover(SELF, QUORUMS, timing=timing, now=0.0)
    beats = node.heartbeats
    assert text_of_node(node).endswith("hears no leader")
    followed = beats.receive_heartbeat(Heartbeat(B2, 0.0), NO_PROPOSAL, 0.0).heartbeats
    asking = beats.ask(0.0).heartbeats
    challenging = asking
    for member in "BC":
        challenging = challenging.receive_answer(
            member, HeartbeatAnswer(NO_PROPOSAL, 0.0), 0.0
        ).heartbeats
    challenging = challenging.challenge_with(A1)
    leading = challenging.lead(0.0).heartbeats
    told = {
        followed: "follows 2.B",
        asking: "asks to lead",
        challenging: "challenges with 1.A",
        leading: "leads with 1.A",
    }
    assert leading.stance is Stance.LEADING
    for stance, text in told.items():
        assert text_of_node(HeartbeatNode(node.node, stance)).endswith(text)
