"""A failing run becomes a short one that breaks the same invariant."""

from __future__ import annotations

import pytest

from paxos import MisuseError
from paxos.scenario.cluster import Kind
from paxos.scenario.commands import Crash, Deliver, Ending, Restart
from paxos.sim.faults import Fault
from paxos.sim.finding import find, replay_line
from paxos.sim.outcome import Outcome, simulate
from paxos.sim.player import play
from paxos.sim.shrink import Case, replay, shrink
from paxos.sim.swarm import Wish

RULES = (
    "promise-refuses-lower",
    "quorum-of-votes",
    "promise-tells-of-the-vote",
    "disk-before-vote",
)


def failing(rule: str) -> Outcome:
    for seed in range(200):
        outcome = simulate(seed, Wish(breaks=rule))
        if outcome.broken is not None and outcome.broken.invariant not in ("progress", "silence"):
            return outcome
    raise AssertionError(rule)


def case_of(outcome: Outcome) -> Case:
    assert outcome.broken is not None
    case = replay(outcome.plan.cluster, outcome.commands, outcome.broken.invariant)
    assert case is not None
    return case


def test_a_failing_run_played_again_breaks_the_same_with_its_last_command() -> None:
    outcome = failing(RULES[0])
    case = case_of(outcome)
    assert case.broken == outcome.broken
    assert case.commands == outcome.commands


@pytest.mark.parametrize("rule", RULES)
def test_the_shrunk_run_is_shorter_and_breaks_the_same_invariant(rule: str) -> None:
    case = case_of(failing(rule))
    short = shrink(case, replays=1500)
    assert len(short.commands) < 25 <= len(case.commands)
    assert short.broken.invariant == case.broken.invariant
    again = replay(short.cluster, short.commands, short.broken.invariant)
    assert again == short


def test_no_command_of_the_shrunk_run_can_be_left_out() -> None:
    short = shrink(case_of(failing("quorum-of-votes")))
    for place in range(len(short.commands)):
        rest = short.commands[:place] + short.commands[place + 1 :]
        assert replay(short.cluster, rest, short.broken.invariant) is None


def test_nodes_that_are_not_needed_are_left_out() -> None:
    case = case_of(failing("quorum-of-votes"))
    assert len(shrink(case).cluster.members) < len(case.cluster.members)


def test_a_run_is_always_shrunk_to_the_same_one() -> None:
    case = case_of(failing(RULES[0]))
    assert shrink(case, replays=300) == shrink(case, replays=300)


def test_the_effort_is_bounded() -> None:
    case = case_of(failing(RULES[0]))
    assert shrink(case, replays=0) == case


def test_a_crash_that_need_not_be_a_power_cut_becomes_a_kill() -> None:
    short = shrink(case_of(failing("quorum-of-votes")))
    power_cut = Crash(short.cluster.members[0], Ending.POWER_OLD)
    longer = (power_cut, Restart(short.cluster.members[0]), *short.commands)
    case = replay(short.cluster, longer, short.broken.invariant)
    assert case is not None
    softened = shrink(case, replays=10_000)
    assert not [c for c in softened.commands if isinstance(c, Crash) and c.ending.is_power_cut]


def test_what_breaks_nothing_is_no_case() -> None:
    outcome = simulate(0, Wish())
    assert replay(outcome.plan.cluster, outcome.commands, "agreement") is None


def test_commands_that_have_become_impossible_are_left_out() -> None:
    outcome = failing(RULES[0])
    deliveries = [command for command in outcome.commands if isinstance(command, Deliver)]
    assert replay(outcome.plan.cluster, deliveries, "promise-kept") is None


def test_a_finding_is_a_scenario_file_with_the_line_that_replays_it() -> None:
    wish = Wish(breaks="quorum-of-votes")
    seed = failing("quorum-of-votes").plan.seed
    finding = find(seed, wish)
    assert finding.replay in " ".join(line.strip("# ") for line in finding.text.splitlines())
    assert play(finding.text).text == finding.text
    assert finding.steps < finding.was
    assert finding.failure.invariant in {broken.invariant for broken in play(finding.text).broken}


def test_a_failure_in_time_is_kept_whole() -> None:
    wish = Wish(breaks="late-comers-are-told", kind=Kind.NODE)
    for seed in range(100):
        broken = simulate(seed, wish).broken
        if broken is not None and broken.invariant == "progress":
            break
    finding = find(seed, wish)
    assert finding.steps == finding.was
    assert "It shows only in time" in finding.text


def test_a_seed_that_breaks_nothing_has_no_finding() -> None:
    with pytest.raises(MisuseError, match="seed 0 breaks nothing"):
        find(0, Wish())


def test_the_replay_line_names_all_that_was_wished_for() -> None:
    wish = Wish(2, 4, (Fault.LOSS, Fault.ROT), Kind.NODE, "quorum-of-votes")
    assert replay_line(7, wish) == (
        "paxos sim --seed 7 --nodes 2..4 --faults loss,rot --kind node --break quorum-of-votes"
    )
