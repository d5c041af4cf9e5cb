"""What each action does, looked up in tables, so that a search counts in integers.

The library's real step runs once for each (local state, action) and is remembered. Local states,
messages and facts are interned as small integers, and a state of the whole is one Python integer:

    | every message ever sent, and every fact, a bit each | counters | node 0 | node 1 | ... |

So an action is an addition and an "or": `state + delta | sent`. A message that was sent stays: it
may arrive at any time, any number of times, or never. Loss, repetition, reordering and delay are
all in that one set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from paxos.errors import MisuseError
from paxos.messages import Envelope, Message
from paxos.scenario.commands import Deliver, Timer
from paxos.scenario.invariants import Fact, Sent
from paxos.verify.model import MAX_COUNT, Action, Down, Effect, Local, Model, Running, Sending
from paxos.verify.moves import (
    Acts,
    Limits,
    Mirror,
    Move,
    Moves,
    Question,
    Result,
    Row,
    Silence,
    UnknownMoveError,
    Way,
)
from paxos.verify.packing import width_for
from paxos.verify.trimming import Trimmer, applies
from paxos.verify.verdicts import Judgement, Violation

LOCAL_BITS = 22
"""Room for the number of a local state: four million for each node."""

COUNTER_BITS = MAX_COUNT.bit_length()
"""Room for each of the three counters: ballots, crashes, timeouts."""


class Table:
    """Interns local states, messages and facts, and makes moves of actions."""

    def __init__(self, model: Model, only: str | None = None) -> None:
        """Take what can happen, and perhaps the only invariant (by its ID) to look at."""
        self.model = model
        self.node_ids = model.bounds.node_ids
        self.frozen = False
        """Then it takes up nothing new, and raises `UnknownMoveError` instead."""

        self.steps = 0
        """How often the library's own code was run."""

        self.learned = 0
        """How often it has taken up something new."""

        self._may_reply = not model.bounds.every_step and model.may_reply
        self.mirror: Mirror | None = None
        self._trimmer: Trimmer | None = None
        self._judge = model.judge(only)
        self.reached = self._judge.reached
        """Which of the "sometimes" have come true."""

        self._index_of_node = {node_id: i for i, node_id in enumerate(self.node_ids)}
        nodes = len(self.node_ids)
        self.shifts = [i * LOCAL_BITS for i in range(nodes)]
        self._counters_at = nodes * LOCAL_BITS
        self.base = self._counters_at + 3 * COUNTER_BITS
        """Where the bits of messages and facts begin."""

        self.keymasks = [self._keymask(i) for i in range(nodes)]
        """For each node, the part of a state on which its moves depend."""

        if model.forgets and applies(model.bounds):
            self._trimmer = Trimmer(model.bounds, self, self.shifts, self.base)
        self._locals: list[list[Local]] = [[] for _ in range(nodes)]
        self._index_of_local: list[dict[Local, int]] = [{} for _ in range(nodes)]
        self._bits: dict[Deliver | Fact, int] = {}
        self._messages: list[list[tuple[int, int]]] = [[] for _ in range(nodes)]
        self._actions: list[Action] = []
        self._number_of_action: dict[Action, int] = {}
        self._acts: list[dict[int, Acts]] = [{} for _ in range(nodes)]
        self._silences: list[dict[int, Silence]] = [{} for _ in range(nodes)]
        self._rows: list[dict[tuple[int, Way, Limits], Row]] = [{} for _ in range(nodes)]
        self._results: list[dict[tuple[int, int, bool], Result | None]] = [{} for _ in range(nodes)]
        self._moves: list[dict[int, Moves]] = [{} for _ in range(nodes)]
        self._replies: list[dict[int, int]] = [{} for _ in range(nodes)]

    @property
    def moves(self) -> list[dict[int, Moves]]:
        """The moves of each node, by the part of the state on which they depend."""
        return self._moves

    @property
    def width(self) -> int:
        """How many bytes each state takes that can be met so far."""
        return width_for(self.base + len(self._bits))

    @property
    def local_states(self) -> int:
        """How many local states have been met."""
        return sum(map(len, self._locals))

    @property
    def messages(self) -> int:
        """How many messages and facts have been met."""
        return len(self._bits)

    def local_masks(self) -> list[int]:
        """The part of a state that says what a node is; those with the most local states first."""
        nodes = sorted(range(len(self.node_ids)), key=lambda node: -len(self._locals[node]))
        return [(1 << LOCAL_BITS) - 1 << self.shifts[node] for node in nodes]

    def holds(self, states: Iterable[int]) -> bool:
        """Whether these can be states: made of nothing but what is interned."""
        top, local = self.base + len(self._bits), (1 << LOCAL_BITS) - 1
        parts = [
            (shift, len(known)) for shift, known in zip(self.shifts, self._locals, strict=True)
        ]
        return all(
            not state >> top and all(state >> shift & local < known for shift, known in parts)
            for state in states
        )

    def digest(self) -> str:
        """The SHA-256 of all that is interned, in its order."""
        digest = hashlib.sha256()
        for interned in (*self._locals, self._bits):
            for each in interned:
                digest.update(repr(each).encode() + b"\n")
        return digest.hexdigest()

    def start(self) -> int:
        """The state before anything has happened."""
        state = 0
        for i, node_id in enumerate(self.node_ids):
            state += self.number_of(i, self.model.start(node_id)) << self.shifts[i]
        return state

    def local(self, state: int, node: int) -> Local:
        """The local state of one node (by its index)."""
        return self._locals[node][state >> self.shifts[node] & ((1 << LOCAL_BITS) - 1)]

    def local_of(self, node: int, number: int) -> Local:
        """The local state of a node that has this number."""
        return self._locals[node][number]

    def action(self, number: int) -> Action:
        """The action that has this number."""
        return self._actions[number]

    def asked(self) -> list[Question]:
        """All questions that were asked so far."""
        return [Question(node, *key) for node, known in enumerate(self._results) for key in known]

    def answer(self, asked: Question) -> Result | None:
        """What an action does: by the library's own step, once. None if a bound forbids it."""
        return self._result(asked.node, asked.local, asked.action, at_once=asked.at_once)

    def deliverable(self, state: int) -> Iterator[Action]:
        """All messages ever sent."""
        for messages in self._messages:
            yield from (self._actions[number] for bit, number in messages if state & bit)

    @property
    def forgets(self) -> bool:
        """Whether states leave out what can make no difference any more."""
        return self._trimmer is not None

    def locals_of(self, node: int) -> list[Local]:
        """All local states of a node that were met."""
        return list(self._locals[node])

    def envelopes(self) -> list[tuple[int, Envelope[Message[str]]]]:
        """All messages that were met, each with its bit."""
        return [(bit, of.envelope) for of, bit in self._bits.items() if isinstance(of, Deliver)]

    def counters(self, state: int) -> tuple[int, int, int]:
        """How many ballots, crashes and timeouts there were."""
        packed = state >> self._counters_at
        return (
            packed & MAX_COUNT,
            packed >> COUNTER_BITS & MAX_COUNT,
            packed >> 2 * COUNTER_BITS & MAX_COUNT,
        )

    def build(self, node: int, key: int) -> Moves:
        """The moves of a node for this part of a state, remembered."""
        local = key >> self.shifts[node] & ((1 << LOCAL_BITS) - 1)
        limits = self._limits(key)
        moves: dict[tuple[int, int, bool], Move] = {}
        for way in self._ways(node, local, key):
            row = self._row(node, local, way, limits, key)
            for move in (*[move for bit, move in row.deliveries if key & bit], *row.others):
                known = moves.get(move.what)
                if known is None or (move.is_duty and not known.is_duty):
                    moves[move.what] = move
        found = self._moves[node][key] = tuple(m for m in moves.values() if not m.is_reply)
        return found

    def _limits(self, key: int) -> Limits:
        bounds = self.model.bounds
        ballots, crashes, timeouts = self.counters(key)
        return Limits(
            ballots < bounds.ballots, crashes < bounds.crashes, timeouts < bounds.timeouts
        )

    def _row(self, node: int, local: int, way: Way, limits: Limits, key: int) -> Row:
        """What can happen at the end of a way. The messages of the key are among what it knows."""
        row = self._rows[node].get((local, way, limits))
        if row is None:
            acts = self._acts_of(node, way.local)
            others = acts.duties + acts.asks
            if limits.timeout:
                others += acts.timers
            if limits.crash and way.local == local:
                others += acts.crashes
            found = [
                self._move(node, local, way, limits, number, at_once=at_once)
                for number in others
                for at_once in self._speeds(node, limits)
            ]
            row = self._rows[node][local, way, limits] = Row(tuple(filter(None, found)))
        unknown = key >> self.base << self.base & ~row.known
        if unknown:
            new = [
                (bit, move)
                for bit, number in self._messages[node]
                if unknown & bit
                for at_once in self._speeds(node, limits)
                if (move := self._move(node, local, way, limits, number, at_once=at_once))
            ]
            # In one order, however they came to be known.
            row.deliveries = sorted([*row.deliveries, *new], key=_bit_first)
            row.known |= unknown
        return row

    def _are_hints(self, result: Result) -> bool:
        """Whether no verdict on what comes later depends on what leaves.

        Nor does a verdict on it: a refusal breaks nothing, and what a node says to be chosen is
        what it believes: else there is something wrong with the step, whatever came before.
        """
        judgement = result.judgement
        if result.sent & self._judge.remembered:
            return False
        if judgement is not None:
            if judgement.wrong is not None:
                return False
            self._judge.note_reached(judgement)
        return True

    def with_replies(self, state: int) -> int:
        """The state once every node has given the replies that change nothing in itself.

        A node may refuse, answer or tell at once, for nobody can tell it from a message that is on
        its way for long: what was sent need not arrive, and nothing that was possible without it is
        impossible with it.
        """
        if not self._may_reply:
            return state
        try:
            if self._trimmer is not None:
                state = self._trimmed(state)  # whether a reply changes anything depends on it
            while True:
                before = state
                for known, mask in zip(self._replies, self.keymasks):  # noqa: B905 - the hot path
                    state |= known[state & mask]
                if state == before:
                    break
            if self._trimmer is not None:
                state = self._trimmed(state)
                for known, mask in zip(self._replies, self.keymasks):  # noqa: B905 - the same
                    _ = known[state & mask]  # so what is learned depends on this state alone
            return state
        except KeyError:
            self._note_replies(state)
            return self.with_replies(state)

    def _trimmed(self, state: int) -> int:
        ballots, _, timeouts = self.counters(state)
        return state if self._trimmer is None else self._trimmer.trimmed(state, ballots, timeouts)

    def number_for(self, node: int, local: Local) -> int:
        """The number of a local state that is no action's: a new one, if it has none."""
        if local not in self._index_of_local[node]:
            self._learn(node, hash(local))
        return self.number_of(node, local)

    def _note_replies(self, state: int) -> None:
        """Remember the replies of the first node whose replies in this state are not known."""
        for node, known in enumerate(self._replies):
            key = state & self.keymasks[node]
            if key not in known:
                known[key] = _union(move.sent for move in self._replies_of(node, key))
                return

    def _replies_of(self, node: int, key: int) -> list[Move]:
        """The replies of one node: all from where it is, for whoever moves on changes."""
        local = key >> self.shifts[node] & ((1 << LOCAL_BITS) - 1)
        row = self._row(node, local, Way(local, ()), self._limits(key), key)
        arriving = [move for bit, move in row.deliveries if key & bit]
        return [move for move in (*arriving, *row.others) if move.is_reply]

    def replies(self, state: int) -> list[Move]:
        """Those replies, in an order in which they can be given."""
        given: list[Move] = []
        while True:
            before = state
            for node, keymask in enumerate(self.keymasks):
                for reply in self._replies_of(node, state & keymask):
                    if reply.sent & ~state:
                        given.append(reply)
                        state |= reply.sent
            if state == before:
                return given

    def _acts_of(self, node: int, local: int) -> Acts:
        """What can happen to the node besides messages, each action by its number."""
        acts = self._acts[node].get(local)
        if acts is None:
            self._learn(node, local)
            model, node_id, state = self.model, self.node_ids[node], self._locals[node][local]
            choices = model.choices(node_id, state)
            acts = self._acts[node][local] = Acts(
                self._numbers(model.duties(node_id, state)),
                self._numbers([each for each in choices if not isinstance(each, Timer)]),
                self._numbers([each for each in choices if isinstance(each, Timer)]),
                self._numbers(model.crashes(node_id, state)),
            )
        return acts

    def _ways(self, node: int, local: int, key: int) -> list[Way]:
        """The node's states that it can come to without anybody noticing, this one first.

        Such a step sends nothing, saves nothing and tells nothing, and whatever another node does
        commutes with it. So it may as well wait until just before the step of the same node that
        somebody notices; if that never comes, or a crash comes first, it does not matter.
        """
        ways = {local: Way(local, ())}
        todo = [] if self.model.bounds.every_step else [local]
        while todo:
            way = ways[todo.pop(0)]
            for bit, number, after in self._silence(node, way.local, key).steps:
                if key & bit == bit and after not in ways:
                    ways[after] = Way(after, (*way.actions, number))
                    todo.append(after)
        return list(ways.values())

    def _silence(self, node: int, local: int, key: int) -> Silence:
        """What nobody notices. The messages of the key are among what it knows."""
        silence = self._silences[node].get(local)
        if silence is None:
            asks = [(0, number) for number in self._acts_of(node, local).asks]
            silence = self._silences[node][local] = Silence(self._unnoticed(node, local, asks))
        unknown = key >> self.base << self.base & ~silence.known
        if unknown:
            messages = [each for each in self._messages[node] if unknown & each[0]]
            silence.steps = sorted([*silence.steps, *self._unnoticed(node, local, messages)])
            silence.known |= unknown
        return silence

    def _unnoticed(
        self, node: int, local: int, actions: list[tuple[int, int]]
    ) -> list[tuple[int, int, int]]:
        found = list[tuple[int, int, int]]()
        for bit, number in actions:
            if (result := self._result(node, local, number)) and result.is_unnoticed:
                self.reached.update(result.effect.reached)
                found.append((bit, number, result.local))
        return found

    def successors(self, state: int) -> Iterator[tuple[int, Move]]:
        """Each state that one action makes of this one, but for itself unless that is wrong."""
        for node in range(len(self.node_ids)):
            key = state & self.keymasks[node]
            moves = self._moves[node].get(key)
            for move in self.build(node, key) if moves is None else moves:
                successor = state + move.delta | move.sent
                if successor != state or move.is_wrong:
                    yield self.with_replies(successor), move

    def settled(self, state: int) -> list[Local]:
        """The local states once everything has arrived that nobody notices any more."""
        return [self._locals[node][way.local] for node, way in self._ends(state)]

    def silent_actions(self, state: int) -> list[Action]:
        """What arrives until then."""
        return [self._actions[number] for _, way in self._ends(state) for number in way.actions]

    def _ends(self, state: int) -> Iterator[tuple[int, Way]]:
        for node, messages in enumerate(self._messages):
            arriving = [number for bit, number in messages if state & bit]
            local = state >> self.shifts[node] & ((1 << LOCAL_BITS) - 1)
            yield node, self._end_of(node, Way(local, ()), arriving)

    def _end_of(self, node: int, way: Way, arriving: list[int]) -> Way:
        for number in arriving:
            result = self._result(node, way.local, number)
            if result is not None and result.is_unnoticed and result.local != way.local:
                return self._end_of(node, Way(result.local, (*way.actions, number)), arriving)
        return way

    def violation(self, state: int, move: Move) -> Violation | None:
        """What is wrong with this move from this state."""
        return None if move.judgement is None else move.judgement.violation(state)

    def _move(
        self, node: int, local: int, way: Way, limits: Limits, number: int, *, at_once: bool
    ) -> Move | None:
        """What the last action of a way does, seen from where the way begins, if it is anything."""
        bounds = self.model.bounds
        result = self._result(node, way.local, number, at_once=at_once)
        if result is None or (result.is_unnoticed and not bounds.every_step):
            return None
        if result.effect.ballots and not limits.ballot:
            return None
        after = self._kept(node, result.local)
        if self._trimmer is not None and not limits.ballot:
            after = self._trimmer.local_after(node, after, is_still=not limits.timeout)
        delta = (after - local << self.shifts[node]) + result.counted
        actions = tuple(self._actions[each] for each in (*way.actions, number))
        is_duty = not any(self.model.is_choice(each) for each in actions)
        is_reply = self._may_reply and not delta and self._are_hints(result)
        move = Move(delta, result.sent, result.judgement, is_duty, actions, is_reply)
        if not (delta or result.sent or move.is_wrong):
            return None
        self.reached.update(result.effect.reached)
        return move

    def _speeds(self, node: int, limits: Limits) -> tuple[bool, ...]:
        """Whether a persist of this node is done at once; it may have to be seen both ways."""
        del node
        return (not limits.crash and not self.model.bounds.slow_disks,)

    def _kept(self, node: int, local: int) -> int:
        """The local state that a search keeps of one that a noticed step leads to: the same."""
        del node
        return local

    def _result(
        self, node: int, local: int, number: int, *, at_once: bool = False
    ) -> Result | None:
        known, key = self._results[node], (local, number, at_once)
        if key not in known and at_once:
            later = self._result(node, local, number)
            if later is None or not _writes(later.effect.local):
                known[key] = later  # nothing is done at once or later
        if key not in known:
            self._learn(node, local, number, at_once)
            self.steps += 1
            before = self._locals[node][local]
            effect = self.model.effect(before, self._actions[number], at_once=at_once)
            counted = self._counted(self._actions[number])
            if effect is None:
                known[key] = None
            else:
                index = local if effect.local is before else self.number_of(node, effect.local)
                known[key] = self._interned(before, effect, index, counted)
        return known[key]

    def _learn(self, *question: int) -> None:
        """Note that something new comes: whatever gets a number here must come by this way."""
        if self.frozen:
            raise UnknownMoveError(question)
        self.learned += 1

    def _numbers(self, actions: list[Action]) -> tuple[int, ...]:
        return tuple(self.number_of_action(action) for action in actions)

    def number_of_action(self, action: Action) -> int:
        """The number of an action: a new one, if it has none."""
        number = self._number_of_action.setdefault(action, len(self._actions))
        if number == len(self._actions):
            self._actions.append(action)
        return number

    def _interned(self, before: Local, effect: Effect, local: int, counted: int) -> Result:
        facts = (*effect.facts, *(_fact_of(sending) for sending in effect.sent))
        bits = [self.bit_of(fact) if self._judge.remembers(fact) else 0 for fact in facts]
        sent = _union(bits) | _union(self.bit_of(Deliver(each.envelope)) for each in effect.sent)
        judgement = self._judgement(effect, facts, bits)
        is_unnoticed = not (sent or judgement or counted) and _is_unnoticed(before, effect)
        counted += effect.ballots << self._counters_at
        return Result(effect, local, sent, counted, judgement, is_unnoticed)

    def _counted(self, action: Action) -> int:
        """What the action adds to the counters."""
        crashes, timeouts = self.model.is_crash(action), isinstance(action, Timer)
        return crashes + (timeouts << COUNTER_BITS) << self._counters_at + COUNTER_BITS

    def number_of(self, node: int, local: Local) -> int:
        """The number of a local state: a new one, if it has none."""
        known = self._index_of_local[node]
        index = known.setdefault(local, len(known))
        if index == len(self._locals[node]):
            if index >> LOCAL_BITS:
                raise MisuseError("too many local states: lower the bounds")
            self._locals[node].append(local)
            if self.mirror is not None:
                self.mirror.met_local(node, index)
        return index

    def bit_of(self, of: Deliver | Fact) -> int:
        """The bit of a message or fact: a new one, if it has none."""
        bit = self._bits.get(of)
        if bit is not None:
            return bit
        bit = self._bits[of] = 1 << self.base + len(self._bits)
        if isinstance(of, Deliver):
            recipient = self._index_of_node[of.envelope.recipient]
            self._messages[recipient].append((bit, self.number_of_action(of)))
            self.keymasks[recipient] |= bit
            if self._trimmer is not None:
                self._trimmer.add(bit, of.envelope)
        else:
            self._judge.remember(bit, of)
        if self.mirror is not None:
            self.mirror.met_bit(bit, of)
        return bit

    def _judgement(
        self, effect: Effect, facts: tuple[Fact, ...], bits: list[int]
    ) -> Judgement | None:
        judge, wrong = self._judge, self._judge.wrong(effect.facts)
        if wrong is None and effect.alarm is not None:
            wrong = judge.alarm(effect.alarm)
        if wrong is None and effect.false_claim is not None:
            wrong = judge.false_claim(effect.false_claim)
        sent = (Sent(e.sender.node_id, e.message, disk) for e, disk in effect.sent)
        return wrong or judge.too_early(sent) or judge.judgement(facts, bits)

    def _keymask(self, node: int) -> int:
        counters = (1 << 3 * COUNTER_BITS) - 1 << self._counters_at
        return (1 << LOCAL_BITS) - 1 << self.shifts[node] | counters


def _bit_first(delivery: tuple[int, Move]) -> tuple[int, int, int]:
    bit, move = delivery
    return bit, move.delta, move.sent


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _fact_of(sending: Sending) -> Fact:
    return Sent(sending.envelope.sender.node_id, sending.envelope.message)


def _writes(local: Local) -> bool:
    return isinstance(local, Running) and local.writing is not None


def _is_unnoticed(before: Local, effect: Effect) -> bool:
    after = effect.local
    if after is before:
        return True
    if isinstance(before, Down) or isinstance(after, Down) or effect.ballots:
        return False
    snapshot = after.snapshot._replace(node=before.snapshot.node)
    return after._replace(snapshot=snapshot) == before
