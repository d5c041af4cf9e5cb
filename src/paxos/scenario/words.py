"""The text of messages, IDs, values and states, and back again.

Everything that a scenario file or a counterexample says is said in these words: `1.A` is a proposal
ID, `1.A=x` a proposal, `A>B promise 2.B 1.A=x` a message on its way. What is written here is read
back as the very same object; numbers with a fraction are written by `repr`, which loses nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence

from paxos.errors import MisuseError
from paxos.heartbeat import HeartbeatNode, Stance
from paxos.messages import (
    NO_VALUE,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Identity,
    Message,
    Nack,
    NothingAccepted,
    Prepare,
    Promise,
    Proposal,
    Request,
)
from paxos.node import DurableState, Node, Phase
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.scenario.breakage import AnyNode
from paxos.scenario.cluster import CLUSTER_NAME, FIRST_INCARNATION

MAX_VALUE_BYTES = 1024
"""Of a value in a scenario, as UTF-8. One slot of a simulated disk holds it with room to spare."""

_NODE = re.compile(r"[A-Za-z0-9_]{1,64}")
_ID = re.compile(r"([1-9][0-9]{0,17})\.([A-Za-z0-9_]{1,64})")
_INCARNATION = re.compile(r"[1-9][0-9]{0,17}")
_PLAIN_VALUE = re.compile(r"[\w./+-]+")
_WORD = re.compile(r'\s*((?:"(?:[^"\\]|\\.)*"|[^\s"])+)')


def split_words(line: str) -> list[str]:
    """The words of a line; what stands in double quotes belongs together.

    Raises `MisuseError` for a quotation mark that is never closed.
    """
    return list(_words_of(line.rstrip()))


def _words_of(line: str) -> Iterator[str]:
    at = 0
    while at < len(line):
        word = _WORD.match(line, at)
        if word is None:
            raise MisuseError(f"a quotation mark is never closed in: {line}")
        yield word[1]
        at = word.end()


# Names, numbers, values.


def parse_node_id(word: str) -> str:
    """The ID of a node: letters, digits and underscores."""
    if not _NODE.fullmatch(word):
        raise MisuseError(f"{word!r} names no node: use 1 to 64 letters, digits and _")
    return word


def text_of_seconds(seconds: float) -> str:
    """An instant or a span of time, without loss."""
    return repr(float(seconds))


def parse_seconds(word: str) -> float:
    """An instant or a span of time: a finite number of seconds."""
    try:
        seconds = float(word)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise MisuseError(f"{word!r} is no number of seconds: write it like 0.35")
    return seconds


def text_of_value(value: str) -> str:
    """A value: as it is if it is one plain word, else in double quotes, as JSON has them."""
    return value if _PLAIN_VALUE.fullmatch(value) else json.dumps(value)


def parse_value(word: str) -> str:
    """The value of a word."""
    value = _unquoted(word) if word.startswith('"') else word
    if not word.startswith('"') and not _PLAIN_VALUE.fullmatch(word):
        raise MisuseError(f"{word!r} is no plain word: put it in double quotes")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise MisuseError(f"{word} holds half a character: values are Unicode text") from None
    if size > MAX_VALUE_BYTES:
        raise MisuseError(f"a value of {size} bytes: at most {MAX_VALUE_BYTES} are allowed here")
    return value


def _unquoted(word: str) -> str:
    try:
        value = json.loads(word)
    except ValueError:
        value = None
    if not isinstance(value, str):
        raise MisuseError(f"{word} is no text in double quotes, as JSON has them")
    return value


# Proposals.


def text_of_id(proposal_id: ProposalID) -> str:
    """A proposal ID, as `1.A`; `none` for `NO_PROPOSAL`."""
    return str(proposal_id)


def parse_id(word: str) -> ProposalID:
    """A real proposal ID."""
    found = _ID.fullmatch(word)
    if found is None:
        raise MisuseError(f"{word!r} is no proposal ID: write number and node, like 1.A")
    return ProposalID(int(found[1]), found[2])


def parse_id_or_none(word: str) -> ProposalID:
    """A proposal ID, or `none`."""
    return NO_PROPOSAL if word == "none" else parse_id(word)


def text_of_proposal(proposal: Proposal[str]) -> str:
    """A proposal, as `1.A=x`."""
    return f"{proposal.id}={text_of_value(proposal.value)}"


def parse_proposal(word: str) -> Proposal[str]:
    """A proposal."""
    proposal_id, equals, value = word.partition("=")
    if not equals:
        raise MisuseError(f"{word!r} is no proposal: write ID and value, like 1.A=x")
    return Proposal(parse_id(proposal_id), parse_value(value))


def text_of_accepted(accepted: Proposal[str] | NothingAccepted) -> str:
    """What an acceptor has accepted; `nothing` if that is so."""
    return "nothing" if accepted is NOTHING_ACCEPTED else text_of_proposal(accepted)


def parse_accepted(word: str) -> Proposal[str] | NothingAccepted:
    """What an acceptor has accepted, or `nothing`."""
    return NOTHING_ACCEPTED if word == "nothing" else parse_proposal(word)


# Messages.


def text_of_message(message: Message[str]) -> str:
    """What a message says, as `promise 2.B 1.A=x`."""
    match message:
        case Prepare(id):
            return f"prepare {id}"
        case Promise(id, accepted):
            return f"promise {id} {text_of_accepted(accepted)}"
        case Accept(proposal):
            return f"accept {text_of_proposal(proposal)}"
        case Accepted(proposal):
            return f"accepted {text_of_proposal(proposal)}"
        case Nack(id, promised):
            return f"nack {id} promised {promised}"
        case Chosen(proposal):
            return f"chosen {text_of_proposal(proposal)}"
        case Request(value):
            return f"request {text_of_value(value)}"
        case Heartbeat(leading, round):
            return f"heartbeat {leading} round {text_of_seconds(round)}"
        case HeartbeatAnswer(follows, round):
            return f"answer {follows} round {text_of_seconds(round)}"


_MESSAGES: dict[str, tuple[str, Callable[[Sequence[str]], Message[str]]]] = {
    "prepare": ("prepare ID", lambda words: Prepare(parse_id(words[0]))),
    "promise": (
        "promise ID nothing|PROPOSAL",
        lambda words: Promise(parse_id(words[0]), parse_accepted(words[1])),
    ),
    "accept": ("accept PROPOSAL", lambda words: Accept(parse_proposal(words[0]))),
    "accepted": ("accepted PROPOSAL", lambda words: Accepted(parse_proposal(words[0]))),
    "nack": (
        "nack ID promised ID",
        lambda words: Nack(parse_id(words[0]), parse_id(words[2])),
    ),
    "chosen": ("chosen PROPOSAL", lambda words: Chosen(parse_proposal(words[0]))),
    "request": ("request VALUE", lambda words: Request(parse_value(words[0]))),
    "heartbeat": (
        "heartbeat ID|none round SECONDS",
        lambda words: Heartbeat(parse_id_or_none(words[0]), parse_seconds(words[2])),
    ),
    "answer": (
        "answer ID|none round SECONDS",
        lambda words: HeartbeatAnswer(parse_id_or_none(words[0]), parse_seconds(words[2])),
    ),
}
"""By its first word: how to write a message, and how to read what follows."""


def parse_message(words: Sequence[str]) -> Message[str]:
    """The message of these words."""
    kind = words[0] if words else ""
    if kind not in _MESSAGES:
        raise MisuseError(f"{kind!r} begins no message: it is one of {', '.join(_MESSAGES)}")
    usage, parse = _MESSAGES[kind]
    pattern, rest = usage.split()[1:], words[1:]
    fixed = [(word, given) for word, given in zip(pattern, rest, strict=False) if word.islower()]
    if len(pattern) != len(rest) or any(word != given for word, given in fixed):
        raise MisuseError(f"{' '.join(words)!r} is no message: write {usage}")
    return parse(rest)


def text_of_link(sender: Identity, recipient: str) -> str:
    """Who sends to whom, as `A>B`; as `A:2>B` if A is on its second disk."""
    if sender.incarnation == FIRST_INCARNATION:
        return f"{sender.node_id}>{recipient}"
    return f"{sender.node_id}:{sender.incarnation}>{recipient}"


def text_of_envelope(envelope: Envelope[Message[str]]) -> str:
    """A message on its way, as `A>B prepare 1.A`."""
    link = text_of_link(envelope.sender, envelope.recipient)
    return f"{link} {text_of_message(envelope.message)}"


def parse_envelope(words: Sequence[str]) -> Envelope[Message[str]]:
    """A message on its way."""
    sender, arrow, recipient = words[0].partition(">") if words else ("", "", "")
    if not arrow:
        raise MisuseError(f"{' '.join(words)!r} does not say who sends to whom: begin with A>B")
    node_id, colon, incarnation = sender.partition(":")
    if colon and not _INCARNATION.fullmatch(incarnation):
        raise MisuseError(f"{sender!r} names no sender: write A, or A:2 for A on its second disk")
    identity = Identity(CLUSTER_NAME, parse_node_id(node_id), incarnation or FIRST_INCARNATION)
    return Envelope(identity, parse_node_id(recipient), parse_message(words[1:]))


# States.


def text_of_durable(state: DurableState[str], before: DurableState[str] | None = None) -> str:
    """What a disk holds; given the state before, only what has changed."""
    before = DurableState() if before is None else before
    parts: list[str] = []
    if state.ballot != before.ballot:
        parts.append(f"prepared {state.ballot}")
    if state.promised != before.promised:
        parts.append(f"promised {state.promised}")
    if state.accepted != before.accepted:
        parts.append(f"accepted {text_of_accepted(state.accepted)}")
    return ", ".join(parts) or "nothing"


def text_of_node(node: AnyNode) -> str:
    """What a node has in mind: what it promised, accepted and proposes, and what it knows."""
    if isinstance(node, HeartbeatNode):
        return f"{_text_of_roles(node.node)}, {_text_of_stance(node)}"
    return _text_of_roles(node)


def _text_of_roles(node: Node[str]) -> str:
    acceptor, proposer, learner = node.acceptor, node.proposer, node.learner
    parts = [f"promised {acceptor.promised}", f"accepted {text_of_accepted(acceptor.accepted)}"]
    if proposer.value is not NO_VALUE:
        parts.append(f"wants {text_of_value(proposer.value)}")
    if proposer.phase is Phase.PREPARING:
        heard = " ".join(proposer.promised_by) or "nobody yet"
        parts.append(f"prepares {proposer.ballot}, promised by {heard}")
    elif proposer.proposal is not NO_VALUE:
        parts.append(f"proposes {text_of_proposal(proposer.proposal)}")
    elif proposer.phase is Phase.LEADING:
        parts.append(f"leads {proposer.ballot} and has nothing to propose")
    if learner.votes:
        votes = " ".join(f"{voter}:{text_of_proposal(vote)}" for voter, vote in learner.votes)
        parts.append(f"counts {votes}")
    if learner.chosen is not NOTHING_CHOSEN:
        parts.append(f"knows that {text_of_proposal(learner.chosen)} is chosen")
    return ", ".join(parts)


def _text_of_stance(node: HeartbeatNode[str]) -> str:
    beats = node.heartbeats
    if beats.stance is Stance.FOLLOWING and beats.leader != NO_PROPOSAL:
        return f"follows {beats.leader}"
    return {
        Stance.FOLLOWING: "hears no leader",
        Stance.ASKING: "asks to lead",
        Stance.CHALLENGING: f"challenges with {beats.ballot}",
        Stance.LEADING: f"leads with {beats.ballot}",
    }[beats.stance]
