"""One of each kind of thing that has a format, and everything else that could be one."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import strategies as st

from paxos import (
    NO_PROPOSAL,
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    DurableState,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Identity,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Request,
)
from paxos.codec import MAX_NAME_LENGTH, MAX_NUMBER

AnyMessage: TypeAlias = Message[bytes]
AnyEnvelope: TypeAlias = Envelope[AnyMessage]
State: TypeAlias = DurableState[bytes]

SENDER = Identity("shop", "A", "a1b2c3d4")
A7, B300 = ProposalID(7, "A"), ProposalID(300, "B")
ACCEPTED = Proposal(ProposalID(5, "C"), b"a value")

MESSAGES: dict[str, AnyMessage] = {
    "prepare": Prepare(A7),
    "promise, nothing accepted": Promise(A7, NOTHING_ACCEPTED),
    "promise, something accepted": Promise(A7, ACCEPTED),
    "accept": Accept(Proposal(A7, b"a value")),
    "accept, empty value": Accept(Proposal(A7, b"")),
    "accepted": Accepted(Proposal(A7, b"\x00\xff")),
    "nack": Nack(A7, B300),
    "chosen": Chosen(Proposal(B300, b"a value")),
    "request": Request(b"a value"),
    "request, empty value": Request(b""),
    "heartbeat of a leader": Heartbeat(A7, 12.5),
    "heartbeat of one who asks": Heartbeat(NO_PROPOSAL, 0.0),
    "heartbeat answer of a follower": HeartbeatAnswer(A7, 12.5),
    "heartbeat answer, no leader": HeartbeatAnswer(NO_PROPOSAL, -1.0),
}

ENVELOPES: dict[str, AnyEnvelope] = {
    name: Envelope(SENDER, "B", message) for name, message in MESSAGES.items()
}

STATES: dict[str, State] = {
    "state of a node that has never run": DurableState(),
    "state, promised only": DurableState(0, B300, NOTHING_ACCEPTED),
    "state, all of it": DurableState(7, B300, ACCEPTED),
    "state, empty value accepted": DurableState(7, A7, Proposal(A7, b"")),
    "state, greatest number": DurableState(MAX_NUMBER, ProposalID(MAX_NUMBER, "A")),
}


def envelope(message: AnyMessage) -> AnyEnvelope:
    """The message on its way from A to B."""
    return Envelope(SENDER, "B", message)


def ids(names: st.SearchStrategy[str], numbers: st.SearchStrategy[int]) -> (
    st.SearchStrategy[ProposalID]
):  # fmt: skip
    """Proposal IDs of these names and numbers."""
    return st.builds(ProposalID, numbers, names)


def messages(
    real: st.SearchStrategy[ProposalID],
    or_none: st.SearchStrategy[ProposalID],
    values: st.SearchStrategy[bytes],
    rounds: st.SearchStrategy[float],
) -> st.SearchStrategy[AnyMessage]:
    """Messages of every kind: `real` IDs, and IDs `or_none` where there may be no proposal."""
    proposals = st.builds(Proposal, real, values)
    return st.one_of(
        st.builds(Prepare, real),
        st.builds(Promise, real, proposals | st.just(NOTHING_ACCEPTED)),
        st.builds(Accept, proposals),
        st.builds(Accepted, proposals),
        st.builds(Nack, real, real),
        st.builds(Chosen, proposals),
        st.builds(Request, values),
        st.builds(Heartbeat, or_none, rounds),
        st.builds(HeartbeatAnswer, or_none, rounds),
    )


# What is in order: all that a running node can have.
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_NAME_LENGTH)
NUMBERS = st.integers(0, MAX_NUMBER)
REAL_IDS = ids(NAMES, st.integers(1, MAX_NUMBER))
IDS = REAL_IDS | st.just(NO_PROPOSAL)
VALUES = st.binary(max_size=200)
ROUNDS = st.floats(allow_nan=False, allow_infinity=False)

GOOD_ENVELOPES: st.SearchStrategy[AnyEnvelope] = st.builds(
    Envelope,
    st.builds(Identity, NAMES, NAMES, NAMES, NUMBERS),
    NAMES,
    messages(REAL_IDS, IDS, VALUES, ROUNDS),
    NUMBERS,
)
GOOD_STATES: st.SearchStrategy[State] = st.builds(
    DurableState, NUMBERS, IDS, st.builds(Proposal, REAL_IDS, VALUES) | st.just(NOTHING_ACCEPTED)
)

# What has the right types, and may have everything else wrong.
ANY_NAMES = st.text(max_size=2 * MAX_NAME_LENGTH)
ANY_NUMBERS = st.integers(-(2**65), 2**65)
ANY_IDS = ids(ANY_NAMES, ANY_NUMBERS) | st.just(NO_PROPOSAL)

ANY_ENVELOPES: st.SearchStrategy[AnyEnvelope] = st.builds(
    Envelope,
    st.builds(Identity, ANY_NAMES, ANY_NAMES, ANY_NAMES, ANY_NUMBERS),
    ANY_NAMES,
    messages(ANY_IDS, ANY_IDS, VALUES, st.floats()),
    ANY_NUMBERS,
)
ANY_STATES: st.SearchStrategy[State] = st.builds(
    DurableState,
    ANY_NUMBERS,
    ANY_IDS,
    st.builds(Proposal, ANY_IDS, VALUES) | st.just(NOTHING_ACCEPTED),
)
