"""Each slot, by itself, is a history of single-decree Paxos: in random worlds, in every one.

What is checked is said in `log_world`: a witness for each slot; no command chosen twice, or refused
and chosen; no read that misses anything; nothing grows beyond its bound. After each storm there is
a calm, in which all members must come to know what is appended last.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from log.log_world import LogWorld
from log.storm import Storm, weather
from paxos import Accept, Acceptor, Nack, Prepare, Promise
from paxos.log.events import MembersChanged, Removed
from paxos.log.log_node import LogNode
from paxos.messages import NOTHING_ACCEPTED, Accepted
from paxos.node import Learner
from paxos.quorum import Quorums

CASES = [
    pytest.param("ABC", "", id="three"),
    pytest.param("ABCDE", "", id="five"),
    pytest.param("ABC", "DE", id="three-that-change"),
    pytest.param("A", "BCDE", id="one-that-grows"),
]


@pytest.mark.parametrize(("nodes", "newcomers"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_after_a_storm_all_agree_and_go_on(nodes: str, newcomers: str, seed: int) -> None:
    weather(nodes, newcomers, seed)


@pytest.mark.long
@pytest.mark.parametrize(("nodes", "newcomers"), CASES)
@pytest.mark.parametrize("tens", range(10))
def test_after_any_of_many_storms_all_agree_and_go_on(
    nodes: str, newcomers: str, tens: int
) -> None:
    seen: Counter[str] = Counter()
    for seed in range(100 + tens * 5, 105 + tens * 5):
        storm = weather(nodes, newcomers, seed, turns=60)
        seen += storm.happened
        seen["reads answered"] += len(storm.world.reads_done)
        seen["commands chosen"] += len(storm.world.slot_of)
        seen["changes"] += len(storm.world.told(MembersChanged))
        seen["removals"] += len(storm.world.told(Removed))
    for what in ("crashes", "transfers", "reads answered", "commands chosen"):
        assert seen[what] > 0, seen
    assert (seen["changes"] > 0) == (seen["removals"] > 0) == bool(newcomers), seen


@pytest.mark.long
@pytest.mark.parametrize("latency", [(0.0, 0.0), (0.001, 0.2)], ids=["none", "wide"])
@pytest.mark.parametrize("sync", [(0.0, 0.0), (0.05, 0.25)], ids=["instant", "slow"])
def test_after_storms_on_other_networks_and_disks_all_agree_and_go_on(
    latency: tuple[float, float], sync: tuple[float, float]
) -> None:
    for seed in range(200, 205):
        storm = Storm(LogWorld("ABC", newcomers="DE", seed=seed, latency=latency, sync=sync), "DE")
        storm.rage(30)
        storm.calm(within=200)


# Histories that Hypothesis makes up, and shrinks when one fails.

WHICH = st.integers(0, 11)


class LogHistory(RuleBasedStateMachine):
    """One rule for each thing that may happen; a crash leaves a random prefix of a persist."""

    reached: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world = LogWorld("ABC", newcomers="D")
        self.storm = Storm(self.world, "D")

    @initialize(seed=st.integers(0, 3), nodes=st.sampled_from(["A", "ABC"]))
    def begin(self, seed: int, nodes: str) -> None:
        newcomers = "".join(sorted(set("ABCD") - set(nodes)))
        self.world = LogWorld(nodes, newcomers=newcomers, seed=seed, loss=0.02)
        self.storm = Storm(self.world, newcomers)
        self.world.run(2)

    def up(self, which: int) -> str:
        return self.world.up[which % len(self.world.up)]

    @rule(which=WHICH)
    @precondition(lambda self: self.world.up)
    def append(self, which: int) -> None:
        self.storm.append(self.up(which))

    @rule(which=WHICH)
    @precondition(lambda self: self.world.up)
    def read(self, which: int) -> None:
        self.world.read(self.up(which))

    @rule(which=WHICH)
    @precondition(lambda self: self.world.up)
    def crash(self, which: int) -> None:
        self.world.crash(self.up(which))
        self.reached["crashes"] += 1

    @rule()
    def start_all(self) -> None:
        for node_id in sorted(set("ABCD") - set(self.world.up)):
            self.world.start(node_id)

    @rule(which=WHICH)
    def cut_or_heal(self, which: int) -> None:
        if which < 4:
            self.world.cut_links.clear()
        else:
            self.world.cut("ABCD"[which % 4], "ABCD"[(which + 1 + which // 4) % 4])

    @rule()
    def change(self) -> None:
        self.storm.change()

    @rule()
    def transfer(self) -> None:
        self.storm.transfer()

    @rule()
    def trim(self) -> None:
        self.storm.trim()

    @rule(windows=st.sampled_from([0.01, 0.05, 0.2, 1.0]))
    def pass_time(self, windows: float) -> None:
        self.world.run(windows)

    def teardown(self) -> None:
        self.storm.calm(within=40)
        self.reached["chosen"] += len(self.world.slot_of)


def run_histories(count: int, steps: int) -> None:
    LogHistory.reached.clear()
    run_state_machine_as_test(
        LogHistory,
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert LogHistory.reached["crashes"] > 0
    assert LogHistory.reached["chosen"] > 0


def test_whatever_happens_in_whatever_order_each_slot_is_paxos() -> None:
    run_histories(8, 20)


@pytest.mark.long
def test_whatever_happens_in_many_more_orders_each_slot_is_paxos() -> None:
    run_histories(100, 40)


# The witness sees what a broken role does: mutants of one decision, put into every slot.


@dataclass(frozen=True)
class ForgetsItsPromise(Acceptor[Any]):
    """Accepts whatever comes."""

    def receive_accept(self, accept: Accept[Any]) -> tuple[Any, Accepted[Any] | Nack]:
        return type(self)(self.promised, accept.proposal), Accepted(accept.proposal)


@dataclass(frozen=True)
class PromisesAnything(Acceptor[Any]):
    """Says yes to a Prepare that is lower than its promise."""

    def receive_prepare(self, prepare: Prepare) -> tuple[Any, Promise[Any] | Nack | None]:
        return self, Promise(prepare.id, NOTHING_ACCEPTED)


@dataclass(frozen=True)
class CountsOneVote(Learner[Any]):
    """Takes one vote for a quorum."""

    def receive_accepted(self, sender: str, accepted: Accepted[Any]) -> Any:
        one = Quorums.majority([sender])
        learner, chosen = Learner(one).receive_accepted(sender, accepted)
        return type(self)(self.quorums, chosen=learner.chosen), chosen


def with_role(**roles: Any) -> Any:
    """Nodes in whose every slot these fields of these roles are of another class."""

    def made(node: LogNode[str]) -> LogNode[str]:
        log, changed = node.log, {}
        for name, kind in roles.items():
            role = getattr(log.unused, name)
            changed[name] = kind(
                **{each: getattr(role, each) for each in role.__dataclass_fields__}
            )
        nodes = tuple(
            replace(
                each,
                acceptor=replace(
                    changed.get("acceptor", each.acceptor), accepted=each.acceptor.accepted
                ),
                learner=changed.get("learner", each.learner),
            )
            for each in log.window.nodes
        )
        window = replace(log.window, nodes=nodes)
        return replace(node, log=replace(log, unused=replace(log.unused, **changed), window=window))

    return made


@pytest.mark.parametrize(
    ("roles", "seed"),
    [
        ({"acceptor": ForgetsItsPromise}, 1),
        ({"acceptor": PromisesAnything}, 0),
        ({"learner": CountsOneVote}, 0),
    ],
    ids=["forgets-its-promise", "promises-anything", "counts-one-vote"],
)
def test_a_broken_role_in_every_slot_is_seen(roles: dict[str, Any], seed: int) -> None:
    with pytest.raises(AssertionError):
        weather("ABC", "", seed, made=with_role(**roles))


def test_roles_put_in_by_hand_change_nothing_if_they_are_whole() -> None:
    weather("ABC", "", 0, made=with_role(acceptor=Acceptor, learner=Learner))
