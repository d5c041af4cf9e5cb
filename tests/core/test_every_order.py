"""Each role against every message in every order: small cases, all of them.

Each role is compared with a reference that knows only the history: what arrived and what was
answered. The references are written from the paper, and share no code with the library. Whole
clusters are in `test_every_delivery`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import pytest

from core.cluster import A1, A2, B1, B2, C1, C2, MAJORITY_OF_3, Value
from paxos import (
    NO_PROPOSAL,
    NO_VALUE,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Acceptor,
    ConflictError,
    Learner,
    Nack,
    Phase,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Proposer,
    Quorums,
)
from paxos.messages import NothingAccepted

pytestmark = pytest.mark.exhaustive

QUORUMS = [
    pytest.param(Quorums.majority("ABC"), id="majority"),
    pytest.param(Quorums.flexible("ABC", phase1=3, phase2=1), id="all-promise-one-votes"),
    pytest.param(Quorums.flexible("ABC", phase1=1, phase2=3), id="one-promises-all-vote"),
    pytest.param(Quorums.weighted({"A": 3, "B": 1, "C": 1}), id="A-outweighs-the-rest"),
    pytest.param(Quorums.weighted({"A": 2, "B": 1, "C": 1}), id="A-and-one-more"),
]


# The acceptor. ------------------------------------------------------------------------------

Question: TypeAlias = Prepare | Accept[Value]
Answer: TypeAlias = Promise[Value] | Accepted[Value] | Nack | type[ConflictError] | None

QUESTIONS: tuple[Question, ...] = (
    Prepare(A1),
    Prepare(B1),
    Prepare(A2),
    Accept(Proposal(A1, 0)),
    Accept(Proposal(A1, "another value under A1")),
    Accept(Proposal(B1, None)),
    Accept(Proposal(A2, "")),
)


def answer_by_the_paper(history: list[tuple[Question, Answer]], question: Question) -> Answer:
    """What an acceptor must answer that has answered all this before (2.2, P1a, phases 1b, 2b)."""
    promised = [q.id for q, answer in history if isinstance(q, Prepare) and _is_promise(answer)]
    accepted = [answer.proposal for _, answer in history if isinstance(answer, Accepted)]
    binding = max([NO_PROPOSAL, *promised, *(proposal.id for proposal in accepted)])
    remembered: Proposal[Value] | NothingAccepted = NOTHING_ACCEPTED
    for proposal in accepted:
        remembered = proposal if proposal.id > id_of(remembered) else remembered
    id = question.id if isinstance(question, Prepare) else question.proposal.id
    same_id = id_of(remembered) == id
    if isinstance(question, Accept) and same_id and remembered != question.proposal:
        return ConflictError
    if id < binding:
        return Nack(id, binding)
    if isinstance(question, Accept):
        return Accepted(question.proposal)
    return None if same_id else Promise(id, remembered)


def _is_promise(answer: Answer) -> bool:
    return isinstance(answer, Promise)


def ask(acceptor: Acceptor[Value], question: Question) -> tuple[Acceptor[Value], Answer]:
    try:
        if isinstance(question, Prepare):
            return acceptor.receive_prepare(question)
        return acceptor.receive_accept(question)
    except ConflictError:
        return acceptor, ConflictError


def walk_questions(
    acceptor: Acceptor[Value], history: list[tuple[Question, Answer]], length: int
) -> Iterator[tuple[Acceptor[Value], Question, Answer, Acceptor[Value]]]:
    """Ask everything in every order; yield each step. A history ends with its first conflict."""
    if len(history) == length:
        return
    for question in QUESTIONS:
        following, answer = ask(acceptor, question)
        assert answer == answer_by_the_paper(history, question), (history, question)
        yield acceptor, question, answer, following
        if answer is not ConflictError:
            yield from walk_questions(following, [*history, (question, answer)], length)


def test_an_acceptor_answers_every_sequence_of_requests_as_the_paper_says() -> None:
    steps = 0
    kinds: set[str] = set()
    for before, question, answer, after in walk_questions(Acceptor(), [], 6):
        steps += 1
        kinds.add(f"{type(question).__name__} {getattr(answer, '__name__', type(answer).__name__)}")
        assert after.promised >= before.promised
        assert id_of(after.accepted) >= id_of(before.accepted)
        assert after.promised >= id_of(after.accepted), "accepting promises, too"
        assert after == before or not isinstance(answer, Nack), "a refusal changes nothing"
    assert kinds == {
        "Prepare Promise",
        "Prepare Nack",
        "Prepare NoneType",
        "Accept Accepted",
        "Accept Nack",
        "Accept ConflictError",
    }, "each kind of answer was seen"
    assert steps == 123_830


def id_of(accepted: Proposal[Value] | NothingAccepted) -> ProposalID:
    return accepted.id if isinstance(accepted, Proposal) else NO_PROPOSAL


def test_an_acceptor_answers_a_repeated_request_identically_or_not_at_all() -> None:
    for _, question, answer, after in walk_questions(Acceptor(), [], 4):
        again, repeated = ask(after, question)
        assert repeated in {answer, None}
        assert again == after


# The proposer. ------------------------------------------------------------------------------

# The ballot is B2; node B has prepared B1 before. X is no member.
ANSWERS: tuple[tuple[str, Promise[Value] | Nack], ...] = (
    ("A", Promise(B2, NOTHING_ACCEPTED)),
    ("A", Nack(B2, C2)),
    ("B", Promise(B2, Proposal(A1, 0))),
    ("B", Nack(B2, C2)),
    ("C", Promise(B2, Proposal(C1, None))),
    ("C", Nack(B2, C2)),
    ("A", Promise(B1, Proposal(A1, "of an older ballot"))),
    ("C", Nack(B1, C1)),
    ("X", Promise(B2, Proposal(C1, "of no member"))),
    ("X", Nack(B2, A2)),
)


class Ballot(NamedTuple):
    """What an observer knows of ballot B2: sets, where the library has sorted tuples."""

    promised: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    reported: frozenset[Proposal[Value]] = frozenset()
    proposes: bool = False
    """Whether a phase-1 quorum has promised. What comes later is not reported any more."""

    def hear(self, quorums: Quorums, sender: str, answer: Promise[Value] | Nack) -> Ballot:
        if answer.id != B2 or sender not in quorums.members:
            return self
        if isinstance(answer, Nack):
            return self._replace(refused=self.refused | {sender})
        if self.proposes:
            return self
        promised, reported = self.promised | {sender}, self.reported
        if isinstance(answer.accepted, Proposal):
            reported |= {answer.accepted}
        proposes = weight(promised, quorums) >= quorums.phase1
        return Ballot(promised, self.refused, reported, proposes)

    def value(self, own: Any) -> Any:
        """P2c: the value of the highest proposal reported, or the proposer's own."""
        return max(self.reported, key=lambda p: p.id).value if self.reported else own

    def is_stuck(self, quorums: Quorums) -> bool:
        """Whether the phase that it is in lacks members that have not refused."""
        willing = frozenset(quorums.members) - self.refused
        if self.proposes:
            return weight(willing, quorums) < quorums.phase2
        return weight(willing | self.promised, quorums) < quorums.phase1

    def can_win(self, quorums: Quorums) -> bool:
        """Whether there can still be a quorum of promises, if there is none yet, and of votes."""
        willing = frozenset(quorums.members) - self.refused
        return weight(willing, quorums) >= quorums.phase2 and (
            self.proposes or weight(willing | self.promised, quorums) >= quorums.phase1
        )


def weight(nodes: frozenset[str], quorums: Quorums) -> int:
    return sum(weight for member, weight in quorums.weights if member in nodes)


def in_second_ballot(quorums: Quorums, value: Value) -> Proposer[Value]:
    proposer: Proposer[Value] = Proposer("B", quorums)
    if value is not NO_VALUE:
        proposer, _ = proposer.propose(value)
    proposer, first = proposer.prepare()
    proposer, second = proposer.prepare()
    assert (first, second) == (Prepare(B1), Prepare(B2))
    return proposer


def walk_answers(
    proposer: Proposer[Value], ballot: Ballot, own: Any, length: int
) -> Iterator[tuple[Ballot, Ballot, Proposer[Value], Accept[Value] | None]]:
    """Let every answer arrive in every order, some repeated; check and yield each step."""
    if length == 0 or proposer.phase is Phase.IDLE:
        return
    for sender, answer in ANSWERS:
        accept: Accept[Value] | None = None
        if isinstance(answer, Promise):
            following, accept = proposer.receive_promise(sender, answer)
        else:
            following = proposer.receive_nack(sender, answer)
        after = ballot.hear(proposer.quorums, sender, answer)
        begins_phase2 = after.proposes and not ballot.proposes
        if begins_phase2 and after.value(own) is not NO_VALUE:
            assert accept == Accept(Proposal(B2, after.value(own))), (ballot, sender, answer)
        else:
            assert accept is None, (ballot, sender, answer)
        assert following.ballot == B2, "an answer never begins a ballot"
        if following.phase is not Phase.IDLE:
            assert (following.phase is Phase.LEADING) == after.proposes
        yield ballot, after, following, accept
        yield from walk_answers(following, after, own, length - 1)


@pytest.mark.parametrize("quorums", QUORUMS)
@pytest.mark.parametrize("own", [NO_VALUE, "", False])
def test_a_proposer_proposes_what_the_paper_lets_it_whatever_the_order_of_answers(
    quorums: Quorums, own: Value
) -> None:
    values: set[str] = set()
    sometimes_lost = sometimes_late = False
    for before, after, proposer, accept in walk_answers(
        in_second_ballot(quorums, own), Ballot(), own, 4
    ):
        if accept is not None:
            values.add(repr(accept.proposal.value))
        sometimes_lost |= proposer.phase is Phase.IDLE
        sometimes_late |= before.proposes and after == before
    assert "None" in values, "the highest of the reported proposals was adopted in some order"
    assert ("0" in values) == quorums.has_phase1("AB"), "the lower one, where that was enough"
    assert (repr(own) in values) == (own is not NO_VALUE and quorums.has_phase1("A"))
    assert sometimes_lost
    assert sometimes_late


@pytest.mark.parametrize("quorums", QUORUMS)
def test_a_ballot_is_given_up_only_if_it_cannot_win(quorums: Quorums) -> None:
    for _, after, proposer, _ in walk_answers(in_second_ballot(quorums, "b"), Ballot(), "b", 4):
        assert proposer.phase is not Phase.IDLE or not after.can_win(quorums), after


@pytest.mark.parametrize("quorums", QUORUMS)
def test_a_ballot_is_given_up_when_its_phase_cannot_end(quorums: Quorums) -> None:
    for before, after, proposer, _ in walk_answers(
        in_second_ballot(quorums, "b"), Ballot(), "b", 4
    ):
        if after.refused != before.refused and after.is_stuck(quorums):
            assert proposer.phase is Phase.IDLE, after


@pytest.mark.parametrize("quorums", QUORUMS)
def test_a_leader_without_a_value_proposes_the_first_it_is_given(quorums: Quorums) -> None:
    proposer = in_second_ballot(quorums, NO_VALUE)
    for member in quorums.members:
        proposer, accept = proposer.receive_promise(member, Promise(B2, NOTHING_ACCEPTED))
        assert accept is None
    assert proposer.phase is Phase.LEADING
    proposer, accept = proposer.propose(0)
    assert accept == Accept(Proposal(B2, 0))
    proposer, second = proposer.propose("too late")
    assert second is None
    assert proposer.unanswered == accept


# The learner. -------------------------------------------------------------------------------

Votes: TypeAlias = tuple[tuple[str, Proposal[Value]], ...]

PROPOSALS: tuple[Proposal[Value], ...] = (Proposal(A1, 0), Proposal(B1, None), Proposal(A2, 0))
VOTES: Votes = tuple(product("ABCX", PROPOSALS))


def voters_of(history: Votes, proposal: Proposal[Value], quorums: Quorums) -> set[str]:
    return {voter for voter, vote in history if vote == proposal and voter in quorums.members}


def newest_voters_of(history: Votes, proposal: Proposal[Value], quorums: Quorums) -> set[str]:
    """The members whose vote of the highest ID, of those that have arrived, is this one."""
    newest: dict[str, Proposal[Value]] = {}
    for voter, vote in history:
        if voter not in newest or vote.id > newest[voter].id:
            newest[voter] = vote
    return {v for v in quorums.members if v in newest and newest[v] == proposal}


def is_quorum(voters: set[str], quorums: Quorums) -> bool:
    return sum(weight for member, weight in quorums.weights if member in voters) >= quorums.phase2


def prove_damage(history: Votes, quorums: Quorums) -> bool:
    """Whether a value was chosen, and another one accepted at or above its ID (2.2, P2a)."""
    return any(
        is_quorum(voters_of(history, chosen, quorums), quorums)
        and any(vote.id >= chosen.id and vote.value != chosen.value for _, vote in history)
        for chosen in PROPOSALS
    )


def walk_votes(
    learner: Learner[Value], history: Votes, length: int
) -> Iterator[tuple[Votes, Learner[Value]]]:
    """Let every vote arrive in every order, some repeated. Damage ends a history."""
    yield history, learner
    if len(history) == length:
        return
    for voter, proposal in VOTES:
        try:
            following, tell = learner.receive_accepted(voter, Accepted(proposal))
        except ConflictError:
            assert prove_damage((*history, (voter, proposal)), learner.quorums), history
            continue
        newly = learner.chosen is NOTHING_CHOSEN and following.chosen is not NOTHING_CHOSEN
        assert (tell is not None) == newly, "it tells others once, and at once"
        yield from walk_votes(following, (*history, (voter, proposal)), length)


@pytest.mark.parametrize("quorums", QUORUMS)
def test_a_learner_learns_only_what_a_quorum_voted_for_in_one_ballot(quorums: Quorums) -> None:
    learned: set[ProposalID] = set()
    for history, learner in walk_votes(Learner(quorums), (), 4):
        if learner.chosen is not NOTHING_CHOSEN:
            assert is_quorum(voters_of(history, learner.chosen, quorums), quorums), history
            learned.add(learner.chosen.id)
    assert learned == {A1, B1, A2}, "each of them was learned in some order"


@pytest.mark.parametrize("quorums", QUORUMS)
def test_a_learner_learns_as_soon_as_the_newest_votes_of_a_quorum_agree(quorums: Quorums) -> None:
    for history, learner in walk_votes(Learner(quorums), (), 4):
        could_learn = any(
            is_quorum(newest_voters_of(history[:n], proposal, quorums), quorums)
            for n in range(1, len(history) + 1)
            for proposal in PROPOSALS
        )
        assert (learner.chosen is not NOTHING_CHOSEN) == could_learn, history


def test_what_was_learned_stays_whatever_comes_later() -> None:
    first: dict[Votes, Proposal[Value]] = {}
    for history, learner in walk_votes(Learner(MAJORITY_OF_3), (), 4):
        if learner.chosen is not NOTHING_CHOSEN:
            first[history] = learner.chosen
            assert first.get(history[:-1], learner.chosen) == learner.chosen
    assert first
