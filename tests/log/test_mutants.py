"""Every rule that a log adds is needed: without it, a world goes wrong, and the tests see it.

Most are found by one of a few storms: `weather(nodes, newcomers, seed)` runs one of them again. The
others need a leader that was deposed and does not know it; a scenario makes one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from log import mutants
from log.by_hand import A1, ByHand, commands, new_machine
from log.log_world import LogWorld, Made, as_it_is, with_log
from log.mutants import with_reads
from log.storm import weather
from paxos import Proposal, ProposalID
from paxos.log.events import ReadReady
from paxos.log.inputs import Read
from paxos.log.log import Log
from paxos.log.messages import EVERY_LATER_SLOT, Confirmed, Decisions, PromiseFrom
from paxos.log.reads import Reads
from paxos.node import Phase

FOUND_BY_STORMS: list[tuple[type[Any], str, str]] = [
    (mutants.TakesAPageForTheWholePromise, "ABC", ""),
    (mutants.IgnoresTrims, "ABC", ""),
    (mutants.HidesVotes, "ABC", ""),
    (mutants.ReportsOnlyItsPromise, "ABC", "DE"),
    (mutants.TrustsTheIndexAlone, "ABCDE", ""),
    (mutants.ChangesAtOnce, "ABC", "DE"),
    (mutants.ProposesPastTheWindow, "ABC", "DE"),
    (mutants.UsesNewMembersUnasked, "A", "BCDE"),
    (mutants.CountsStrangers, "A", "BCDE"),
    (mutants.BeginsAfterItsNewestVote, "ABCDE", ""),
    (mutants.LeavesHoles, "ABC", "DE"),
    (mutants.PutsCommandsIntoHoles, "ABC", ""),
    (mutants.CountsItsVoteBeforeItIsOnDisk, "ABC", "DE"),
    (mutants.AnswersBeforeItsVoteIsOnDisk, "ABC", ""),
    (mutants.ForgetsBeforeItIsOnDisk, "ABC", "DE"),
    (mutants.ProposesItsQueueAgain, "ABC", ""),
    (mutants.RefusesWhatItProposed, "ABC", ""),
    (mutants.UsesABallotTwice, "ABC", ""),
    (mutants.ReadsOnlyWhatIsKnownToBeChosen, "ABC", ""),
]


def twelve_storms(nodes: str, newcomers: str, made: Made) -> None:
    """The world names its seed when one of them finds something."""
    for seed in range(12):
        weather(nodes, newcomers, seed, made=made)


@pytest.mark.parametrize(
    ("mutant", "nodes", "newcomers"),
    [pytest.param(*case, id=case[0].__name__) for case in FOUND_BY_STORMS],
)
def test_one_of_twelve_storms_finds_a_log_without_this_rule(
    mutant: type[Any], nodes: str, newcomers: str
) -> None:
    made = with_reads(mutant()) if issubclass(mutant, Reads) else with_log(mutant)
    with pytest.raises(AssertionError):
        twelve_storms(nodes, newcomers, made)


@pytest.mark.long
def test_the_same_storms_find_nothing_wrong_with_the_log_as_it_is() -> None:
    for nodes, newcomers in sorted({case[1:] for case in FOUND_BY_STORMS}):
        twelve_storms(nodes, newcomers, with_log(Log))


class Deposed:
    """Five nodes: the old leader and one that is loyal to it are cut off from a new leader."""

    def __init__(self, made: Made = as_it_is) -> None:
        world = self.world = LogWorld("ABCDE", made=made)
        self.old = world.elect()
        self.heir, self.loyal, *rest = (n for n in "ABCDE" if n != self.old)
        self.ballot = world.log(self.old).ballot
        world.transfer(self.old, self.heir)
        assert world.run(1, until=lambda: world.log(self.heir).phase is Phase.PREPARING)
        for other in (self.heir, *rest):
            world.cut(self.old, other)
            world.cut(self.loyal, other)

    def new_leader_commits(self, command: str) -> None:
        """The old leader still believes that it leads."""
        world, heir = self.world, self.heir
        assert world.run(1, until=lambda: world.log(heir).leads)
        world.append(heir, command)
        assert world.run(1, until=lambda: command in world.slot_of)
        assert self.old in world.leaders


def deposed_leader_tells(made: Made) -> None:
    """It learns what the new leader got chosen, while another node voted for its own."""
    scene = Deposed(made)
    world, slot = scene.world, scene.world.log(scene.old).chosen_below
    world.append(scene.old, "own")
    scene.new_leader_commits("tea")
    chosen = world.disk(scene.heir).entries[slot]
    world.hear(scene.old, scene.heir, Decisions(slot, (chosen,), slot + 1))
    world.run(1)
    assert "own" not in world.commands(scene.loyal)


def old_leader_reads(made: Made) -> None:
    scene = Deposed(made)
    scene.new_leader_commits("tea")
    scene.world.read(scene.old)
    scene.world.run(0.2)


def old_answer_comes_late(made: Made) -> None:
    """It confirms a round that began before the new leader did."""
    scene = Deposed(made)
    scene.world.read(scene.old)
    scene.world.run(0.2)
    scene.new_leader_commits("tea")
    scene.world.read(scene.old)
    for late in sorted(set("ABCDE") - {scene.old, scene.loyal}):
        scene.world.hear(scene.old, late, Confirmed(scene.ballot, 1))
    scene.world.run(0.2)


def first_round_is_over_when_old_answers_come(made: Made) -> None:
    """As above, but the first round was confirmed, so the second read has a round of its own."""
    scene = Deposed(made)
    world = scene.world
    world.read(scene.old)
    world.hear(scene.old, scene.heir, Confirmed(scene.ballot, 1))
    assert world.run(0.2, until=lambda: len(world.reads_done) == 1)
    scene.new_leader_commits("tea")
    world.read(scene.old)
    late = next(n for n in "EDCBA" if n not in (scene.old, scene.loyal, scene.heir))
    world.hear(scene.old, late, Confirmed(scene.ballot, 1))
    world.run(0.2)


SCENES = [
    pytest.param(with_log(mutants.ClaimsThoughDeposed), deposed_leader_tells, id="claims"),
    pytest.param(with_reads(mutants.ReadsWithoutAsking()), old_leader_reads, id="unasked"),
    pytest.param(with_reads(mutants.ReadsForLateComers()), old_answer_comes_late, id="late-comer"),
    pytest.param(
        with_reads(mutants.UsesARoundTwice()),
        first_round_is_over_when_old_answers_come,
        id="round-used-twice",
    ),
]


@pytest.mark.parametrize(("made", "scene"), SCENES)
def test_a_leader_deposed_without_this_rule_goes_wrong(made: Made, scene: Any) -> None:
    with pytest.raises(AssertionError, match=r"misses|learned"):
        scene(made)


@pytest.mark.parametrize("scene", [case.values[1] for case in SCENES])
def test_a_deposed_leader_as_it_is_does_no_harm(scene: Any) -> None:
    scene(as_it_is)


@pytest.mark.parametrize(
    ("kind", "answered"),
    [(Log, []), (mutants.ReadsBeforeItHasHeardOfAll, [ReadReady(7, 4)])],
    ids=["as-it-is", "mutant"],
)
def test_a_leader_that_reads_too_early_misses_what_a_member_has_trimmed(
    kind: type[Log[str]], answered: list[ReadReady]
) -> None:
    """B knows that nine slots are chosen; the leader leads in the first three by a page of C."""
    machine = new_machine()
    machine._node = with_log(kind)(machine.node)
    node = ByHand(machine).candidate()
    tea = Proposal(ProposalID(0, "C"), commands("tea"))
    node.hear("B", PromiseFrom(A1, 9, EVERY_LATER_SLOT, 9))
    node.hear("C", PromiseFrom(A1, 0, 3, 0, ((0, tea), (1, tea), (2, tea))))
    node.give(Read(7))
    node.hear("B", Confirmed(A1, 1))
    slots = [replace(event, slot=4) for event in node.told(ReadReady) if event.slot < 9]
    assert slots == answered
