"""Seeds by the thousand: merged, interrupted, told in words and in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import msgspec
import pytest

from paxos import FaultError, MisuseError
from paxos.cli import main
from paxos.sim import campaign
from paxos.sim.campaign import CHUNK, Summary, local_workers, run_campaign
from paxos.sim.player import play
from paxos.sim.swarm import Wish

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_each_seed_is_run_once(executor: Executor) -> None:
    summary = run_campaign(Wish(), range(7, 70), executor, parallel=2)
    assert summary.runs == 63
    assert summary.effects > 63


def test_the_summary_does_not_depend_on_who_ran_what(executor: Executor) -> None:
    there = run_campaign(Wish(), range(60), executor, parallel=2)
    with local_workers(1) as (one, parallel):
        here = run_campaign(Wish(), range(60), one, parallel=parallel)
    assert here == there


def test_progress_is_told_as_it_comes(executor: Executor) -> None:
    told: list[int] = []
    run_campaign(
        Wish(), range(2 * CHUNK), executor, parallel=1, progress=lambda s: told.append(s.runs)
    )
    assert told[-1] == 2 * CHUNK
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("rule", "invariant"),
    [
        ("promise-refuses-lower", "promise-kept"),
        ("promise-survives", "durable-first"),
        ("disk-before-vote", "durable-first"),
        ("quorum-of-votes", "learns-what-is-chosen"),
        ("quorum-of-promises", "agreement"),
        ("promise-tells-of-the-vote", "promise-tells-all"),
        ("one-value-a-ballot", "one-value-an-id"),
        ("late-comers-are-told", "progress"),
    ],
)
def test_a_campaign_finds_a_mutant(executor: Executor, rule: str, invariant: str) -> None:
    summary = run_campaign(Wish(breaks=rule), range(100), executor, parallel=2)
    assert invariant in {failure.invariant for failure in summary.failures}


def test_a_campaign_can_end_with_its_first_failure(executor: Executor) -> None:
    wish = Wish(breaks="quorum-of-promises")
    every = run_campaign(wish, range(100), executor, parallel=2)
    first = run_campaign(wish, range(100), executor, parallel=2, until_failure=True)
    assert first.failures == every.failures[:1]


class Interrupted(ThreadPoolExecutor):
    """The user presses Ctrl-C after the first answer."""

    def __init__(self) -> None:
        super().__init__(1)
        self.submitted = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        if self.submitted > 3:
            raise KeyboardInterrupt
        return super().submit(fn, *args, **kwargs)


def test_an_interrupted_campaign_says_what_it_knows() -> None:
    with Interrupted() as executor:
        summary = run_campaign(Wish(), range(100 * CHUNK), executor, parallel=1)
    assert summary.interrupted
    assert 0 < summary.runs <= 3 * CHUNK


class Dying(ThreadPoolExecutor):
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        dead: Future[Any] = Future()
        dead.set_exception(BrokenProcessPool("killed"))
        return dead


def test_a_worker_that_dies_is_a_fault_with_a_name() -> None:
    with Dying() as executor, pytest.raises(FaultError, match="a worker has died: killed"):
        run_campaign(Wish(), range(10), executor, parallel=1)


def test_a_worker_of_another_version_refuses() -> None:
    question = next(campaign._questions(Wish(), range(1)))
    other = msgspec.json.decode(question) | {"version": 99}
    with pytest.raises(MisuseError, match="let all machines have the same version"):
        campaign.answer(json.dumps(other))


def test_an_answer_that_makes_no_sense_is_a_fault_with_a_name() -> None:
    with pytest.raises(FaultError, match="a worker's answer makes no sense"):
        campaign._read('{"runs": "many"}')


def test_what_was_never_reached_is_told() -> None:
    summary = Summary(Wish())
    assert {"agreement", "progress", "no-surprise"} <= set(summary.never_reached)
    assert "loss" in summary.never_happened


# The command.


def run_sim(capsys: Capture, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["sim", *arguments, "--workers", "1", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_command_says_in_json_what_came_of_it(capsys: Capture) -> None:
    code, said = run_sim(capsys, "--seeds", "30", "--nodes", "3")
    assert (code, said["ok"], said["runs"], said["failures"]) == (0, True, 30, [])
    assert said["effects"] > 0
    assert said["seconds"] > 0
    assert said["happened"].keys() >= {"loss", "kill", "rot"}


def test_the_command_finds_shrinks_and_saves_a_mutant(capsys: Capture, tmp_path: Path) -> None:
    code, said = run_sim(
        capsys, "--seeds", "25", "--break", "quorum-of-votes", "--until-failure",
        "--save", str(tmp_path),
    )  # fmt: skip
    (failure,) = said["failures"]
    assert code == 0
    assert failure["replay"].endswith("--nodes 3..5 --faults all --break quorum-of-votes")
    assert failure["steps"] < 20
    text = Path(failure["path"]).read_text()
    assert text == failure["scenario"] == play(text).text
    assert failure["invariant"] in {broken.invariant for broken in play(text).broken}


def test_the_replay_line_fails_in_the_same_way(capsys: Capture) -> None:
    _, said = run_sim(capsys, "--seeds", "25", "--break", "quorum-of-votes", "--until-failure")
    (failure,) = said["failures"]
    main([*failure["replay"].split()[1:], "--json"])
    (again,) = json.loads(capsys.readouterr().out)["failures"]
    assert again["sentence"] == failure["sentence"]
    assert again["effects"] == failure["effects"]


def test_a_mutant_that_nobody_finds_is_no_success(capsys: Capture) -> None:
    code, said = run_sim(capsys, "--seeds", "1", "--faults", "none", "--break", "vote-survives",
                         "--kind", "heartbeat", "--nodes", "1")  # fmt: skip
    assert code == (0 if said["failures"] else 1)


def test_the_summary_names_each_invariant_and_each_fault(capsys: Capture) -> None:
    assert main(["sim", "--seeds", "30", "--workers", "1"]) == 0
    said = capsys.readouterr().out
    for word in ("30 runs", "promise-kept: ", "progress: ", "  loss: ", "nothing is broken"):
        assert word in said


def test_all_faults_are_told_by_name(capsys: Capture) -> None:
    assert main(["sim", "--faults", "help"]) == 0
    assert "rot        Acknowledged bytes on a disk decay" in capsys.readouterr().out


@pytest.mark.parametrize("nodes", ["5..3", "0", "99"])
def test_impossible_numbers_of_nodes_are_refused(capsys: Capture, nodes: str) -> None:
    assert main(["sim", "--nodes", nodes]) == 1
    assert "ask for 1 to 15 nodes" in capsys.readouterr().err


def test_workers_of_ones_own_and_of_dask_do_not_go_together(capsys: Capture) -> None:
    assert main(["sim", "--workers", "2", "--dask", "tcp://127.0.0.1:1"]) == 1
    assert "leave out --workers" in capsys.readouterr().err
