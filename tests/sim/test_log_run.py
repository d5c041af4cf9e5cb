"""One run of a log: the same each time, judged at every effect; its history is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from paxos import MisuseError
from paxos.cli import main
from paxos.histories.history import encode_history, read_history
from paxos.histories.linearizability import check_history
from paxos.histories.sequential import KeyValue
from paxos.sim.campaign import answer, sometimes_of, wish_for
from paxos.sim.faults import LOG_FAULTS
from paxos.sim.finding import find_in_log, replay_line
from paxos.sim.log.claims import CLAIMS
from paxos.sim.log.outcome import simulate_log
from paxos.sim.log.plan import LogWish, draw_log_plan, parts_of

pytestmark = pytest.mark.long


Capture = pytest.CaptureFixture[str]

SEEDS = range(100)


def test_a_hundred_seeds_break_nothing_and_put_all_to_the_test() -> None:
    outcomes = [simulate_log(seed, LogWish()) for seed in SEEDS]
    reached = Counter(id for o in outcomes for id in o.reached)
    happened = Counter(fault for o in outcomes for fault in o.happened.elements())
    assert {o.plan.seed: o.broken for o in outcomes if o.broken is not None} == {}
    assert [claim.id for claim in CLAIMS if not reached[claim.id]] == []
    assert [fault.label for fault in LOG_FAULTS if not happened[fault]] == []


def test_a_seed_gives_the_same_run_each_time() -> None:
    assert simulate_log(11, LogWish()) == simulate_log(11, LogWish())


def test_a_run_does_not_depend_on_how_python_hashes() -> None:
    program = (
        "from paxos.sim.log.outcome import simulate_log; from paxos.sim.log.plan import LogWish\n"
        "for seed in range(4):\n"
        "    o = simulate_log(seed, LogWish()); print(o.effects, o.slots, len(o.events), o.took)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "01"
    }
    assert len(told) == 1


def test_without_faults_clients_get_their_answers() -> None:
    outcome = simulate_log(5, LogWish(faults=()))
    assert outcome.broken is None
    assert sum(event.type == "ok" for event in outcome.events) >= 5


def test_one_node_is_a_cluster_too() -> None:
    assert simulate_log(1, LogWish(1, 1)).broken is None


def test_what_clients_saw_can_be_checked_by_anybody(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"".join(encode_history(simulate_log(3, LogWish()).events)))
    with path.open("rb") as file:
        assert check_history(read_history(file), KeyValue()).linearizable


def test_parts_of_a_run_can_be_left_out() -> None:
    seed = next(seed for seed in SEEDS if len(parts_of(seed, LogWish())) > 5)
    kept = parts_of(seed, LogWish())[2:4]
    plan = draw_log_plan(seed, LogWish(parts=kept))
    assert len(plan.spells) + len(plan.strikes) + len(plan.turns) == 3


def test_a_failure_is_shrunk_to_one_line_that_shows_it_too() -> None:
    wish = LogWish(breaks="retry-is-answered")
    seed = next(seed for seed in SEEDS if simulate_log(seed, wish).broken is not None)
    finding = find_in_log(seed, wish, runs=8)
    assert finding.steps <= finding.was
    assert main(finding.replay.split()[1:]) == 0


@pytest.mark.parametrize("nodes", [(0, 3), (5, 3), (3, 99)])
def test_too_few_or_too_many_nodes_are_refused(nodes: tuple[int, int]) -> None:
    with pytest.raises(MisuseError, match="ask for 1 to 9 nodes"):
        LogWish(*nodes)


def test_a_rule_that_a_log_has_not_is_refused() -> None:
    with pytest.raises(MisuseError, match="a log has no rule 'gravity'"):
        LogWish(breaks="gravity")


def test_a_worker_runs_a_log_when_it_is_asked_to() -> None:
    question = {"version": 2, "first": 0, "count": 3, "fewest": 3, "most": 3}
    question |= {"faults": "all", "kind": "log", "breaks": None}
    told = json.loads(answer(json.dumps(question)))
    assert told["runs"] == 3
    assert told["failures"] == []


def test_the_words_of_a_wish_and_its_line_are_one() -> None:
    wish = wish_for(3, 5, "loss,wipe", "log", None)
    assert isinstance(wish, LogWish)
    line = replay_line(7, replace(wish, parts=(1, 4)))
    assert line == ("paxos sim --seed 7 --nodes 3..5 --faults loss,wipe --kind log --parts 1,4")


def test_one_decision_knows_no_wiped_disk() -> None:
    with pytest.raises(MisuseError, match="there is no fault 'wipe'"):
        wish_for(3, 5, "wipe", None, None)


def test_a_campaign_tells_of_a_log_what_was_never_reached() -> None:
    assert [id for id, _ in sometimes_of(LogWish())] == [claim.id for claim in CLAIMS]


def test_the_command_runs_a_log(capsys: Capture) -> None:
    assert main(["sim", "--kind", "log", "--seeds", "3", "--workers", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["failures"], told["undecided"]) == (3, [], 0)


def test_parts_are_for_one_seed_of_a_log(capsys: Capture) -> None:
    assert main(["sim", "--parts", "1,2"]) == 1
    assert "only one seed of a log has parts" in capsys.readouterr().err
