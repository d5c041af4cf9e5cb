"""One seed: the same run each time, a scenario that can be played again, and real faults."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from paxos.scenario.cluster import Kind
from paxos.scenario.happenings import Happening
from paxos.scenario.opening import Opening
from paxos.scenario.transcript import write
from paxos.sim.campaign import run_campaign
from paxos.sim.faults import ALL_FAULTS, Fault
from paxos.sim.outcome import Outcome, simulate
from paxos.sim.player import play
from paxos.sim.stage import Stage
from paxos.sim.swarm import Wish

PRINT_A_RUN = """
import sys
from paxos.sim.outcome import simulate
from paxos.sim.swarm import Wish
for seed in range(8):
    print(*simulate(seed, Wish()).commands, sep="\\n")
"""


def run_under(hash_seed: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", PRINT_A_RUN],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return ran.stdout


def test_the_same_seed_gives_the_same_commands_under_any_hash_seed() -> None:
    assert run_under("1") == run_under("2")


@pytest.mark.parametrize("seed", range(6))
def test_a_run_played_again_gives_the_same_happenings(seed: int) -> None:
    seen: list[Happening] = []
    outcome = simulate(seed, Wish(), seen.append)
    again: list[Happening] = []
    stage = Stage(outcome.plan.cluster, again.append)
    for command in outcome.commands:
        stage.perform(command)
    assert seen == again


def test_a_run_is_a_scenario_file() -> None:
    """The text of its commands loses nothing."""
    outcome = simulate(3, Wish())
    played = play(write(Opening(outcome.plan.cluster), outcome.commands))
    assert played.commands == outcome.commands
    assert not played.broken


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [simulate(seed, Wish()) for seed in range(300)]


def test_nothing_is_broken(outcomes: list[Outcome]) -> None:
    assert [(o.plan.seed, o.broken) for o in outcomes if o.broken is not None] == []


def test_every_kind_of_fault_really_happens(outcomes: list[Outcome]) -> None:
    happened: Counter[Fault] = Counter()
    for outcome in outcomes:
        happened.update(outcome.happened)
    assert [fault.label for fault in ALL_FAULTS if not happened[fault]] == []


def test_what_was_not_drawn_does_not_happen(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        allowed = set(outcome.plan.faults)
        if Fault.TEAR in allowed:
            allowed.add(Fault.POWER)  # which it is where the write that was to be torn is over
        assert {fault for fault in Fault if outcome.happened[fault]} <= allowed, outcome.plan.seed


def test_some_runs_have_many_ballots(outcomes: list[Outcome]) -> None:
    assert sum("agreement" in outcome.reached for outcome in outcomes) > 10


def test_without_faults_all_decide_without_trouble() -> None:
    for seed in range(60):
        outcome = simulate(seed, Wish(faults=()))
        assert outcome.broken is None
        assert not outcome.happened, seed


@pytest.mark.parametrize("total", [1, 2, 7])
def test_clusters_of_any_size_hold(total: int) -> None:
    for seed in range(25):
        assert simulate(seed, Wish(total, total)).broken is None, seed


def test_a_leader_that_is_no_member_gets_the_values_of_its_followers() -> None:
    """They went to the members alone, and it led for ever with nothing to propose."""
    wish = Wish(kind=Kind.HEARTBEAT, faults=())
    led = 0
    for seed in range(150):
        outcome = simulate(seed, wish)
        assert outcome.broken is None, seed
        led += bool(outcome.plan.cluster.proposers)
    assert led > 5


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_a_thousand_seeds_hold() -> None:
    from paxos.sim.campaign import local_workers

    with local_workers(2) as (executor, parallel):
        summary = run_campaign(Wish(), range(1000), executor, parallel=parallel)
    assert summary.failures == []
    assert summary.runs == 1000
    assert summary.never_happened == []
    assert summary.never_reached == []
