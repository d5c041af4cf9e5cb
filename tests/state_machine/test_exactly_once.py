"""However requests are repeated and reordered: each is applied once, as a plain model says."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from paxos.replica import Replica
from paxos.sessions import ANSWER_OVERHEAD, Outcome, SessionID, SessionLimits, Verdict
from state_machine.machines import Journal, apply_next, asking, opening

WINDOW, SESSIONS = 3, 2
LIMITS = SessionLimits(
    sessions=SESSIONS, window=WINDOW, answer_bytes=99, kept_bytes=WINDOW * (99 + ANSWER_OVERHEAD)
)


@dataclass
class Model:
    """Says the same as `Sessions`, in the plainest way, and never forgets anything."""

    used: list[SessionID] = field(default_factory=list)
    acknowledged: dict[SessionID, int] = field(default_factory=dict)
    answers: dict[tuple[SessionID, int], bytes] = field(default_factory=dict)
    applied: list[bytes] = field(default_factory=list)

    def open(self, session: SessionID) -> None:
        self.used = [*self.used, session][-SESSIONS:]

    def ask(self, session: SessionID, sequence: int, below: int) -> tuple[Verdict, bytes, bool]:
        if session not in self.used:
            return Verdict.SESSION_EXPIRED, b"", False
        self.used = [each for each in self.used if each != session] + [session]
        lowest = max(self.acknowledged.get(session, 0), below)
        self.acknowledged[session] = lowest
        key = session, sequence
        if sequence < lowest:
            return Verdict.FORGOTTEN, b"", False
        if key in self.answers:
            return Verdict.ANSWERED, self.answers[key], True
        if sequence >= lowest + WINDOW:
            return Verdict.TOO_FAR_AHEAD, b"", False
        self.applied.append(name(session, sequence))
        self.answers[key] = b"%d %s" % (len(self.applied), name(session, sequence))
        return Verdict.ANSWERED, self.answers[key], False


def name(session: SessionID, sequence: int) -> bytes:
    return b"%d.%d" % (session.slot, sequence)


Step = tuple[int, int, int] | None
"""Whose session (counted from the newest), which sequence, how far back it acknowledges; or None:
another session is opened."""

STEPS = st.lists(
    st.one_of(
        st.none(),
        st.tuples(st.integers(0, SESSIONS), st.integers(0, 8), st.integers(0, 8)),
        st.tuples(st.just(0), st.integers(0, 3), st.just(8)),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(STEPS)
def test_outcomes_and_effects_are_those_of_the_model(steps: list[Step]) -> None:
    replica, model = Replica(Journal, limits=LIMITS), Model()
    sessions: list[SessionID] = []
    for number, step in enumerate([None, *steps]):
        if step is None:
            (opened,) = apply_next(replica, opening(number))
            assert opened.session is not None
            sessions.append(opened.session)
            model.open(opened.session)
            continue
        whose, sequence, back = step
        session = sessions[max(len(sessions) - 1 - whose, 0)]
        below = max(sequence - back, 0)
        (outcome,) = apply_next(replica, asking(session, sequence, name(session, sequence), below))
        expected = model.ask(session, sequence, below)
        assert (outcome.verdict, outcome.answer, outcome.repeated) == expected
    assert [line.encode() for line in replica.machine.lines] == model.applied
    assert len(set(model.applied)) == len(model.applied), "nothing is applied twice"
    assert replica.sessions == len(model.used)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.permutations([0, 1, 2, 0, 1, 2, 0, 1, 2]))
def test_every_order_of_repetitions_applies_each_once(order: list[int]) -> None:
    replica = Replica(Journal, limits=LIMITS)
    (opened,) = apply_next(replica, opening(1))
    assert opened.session is not None
    answers: dict[int, set[bytes]] = {}
    for sequence in order:
        (outcome,) = apply_next(replica, asking(opened.session, sequence, b"%d" % sequence))
        answers.setdefault(sequence, set()).add(value(outcome))
    assert sorted(replica.machine.lines) == ["0", "1", "2"]
    assert all(len(different) == 1 for different in answers.values())


def value(outcome: Outcome) -> bytes:
    return outcome.value()
