"""`paxos explore`: what it is asked becomes bounds, what it finds becomes words and exit codes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from paxos import MisuseError, verify
from paxos.cli import exploration, explore, main
from paxos.cli.arguments import Commands
from paxos.cli.exploration import bounds_from
from paxos.cli.explored import Found
from paxos.cli.progress import GIB, Limits, Watcher, memory_there
from paxos.scenario.cluster import Kind
from paxos.scenario.happenings import Broke
from paxos.scenario.rules import rule_of
from paxos.sim.player import play
from paxos.verify import Bounds, Plan, Progress, Result
from paxos.verify.verdicts import Violation

Capture = pytest.CaptureFixture[str]

SMALL = ["explore", "--kind", "roles", "--acceptors", "2", "--values", "1", "--ballots", "2"]
QUICK = [*SMALL, "--no-hints"]
NO_LIMIT = Limits(memory=None)


def told(capture: Capture) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(capture.readouterr().out)
    return answer


def paxos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paxos", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def bounds_of(*arguments: str) -> Bounds:
    """The bounds of a command line."""
    parser = argparse.ArgumentParser()
    explore.add(Commands(parser))
    options = parser.parse_args(["explore", *arguments])
    return bounds_from(options, None if options.breaks is None else rule_of(options.breaks))


# What comes of it.


def test_an_exhausted_exploration_ends_with_zero_and_says_so() -> None:
    ran = paxos(*QUICK)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "exhausted: every state within these bounds was seen" in ran.stdout
    for heading in ("always", "sometimes", "when quiet"):
        assert f"\n{heading}\n" in ran.stdout
    assert "holds   agreement " in ran.stdout


def test_one_that_is_not_exhausted_ends_with_three_and_proves_nothing() -> None:
    ran = paxos(*QUICK, "--max-states", "1")
    assert ran.returncode == 3
    assert "NOT exhausted" in ran.stdout
    assert "This proves nothing" in ran.stderr
    assert "so far  agreement " in ran.stdout
    assert "holds" not in ran.stdout


def test_programs_get_exact_counts_and_each_verdict(capsys: Capture) -> None:
    assert main([*QUICK, "--json"]) == 0
    answer = told(capsys)
    assert (answer["ok"], answer["exhausted"], answer["stopped"]) == (True, True, None)
    assert answer["states"] > answer["quiet"] > 0
    assert answer["depth"] > 0
    assert {(each["holds"], each["verdict"]) for each in answer["always"]} == {(True, "holds")}
    assert answer["bytes"] > 0
    assert answer["when_quiet"][0]["id"] == "decides-when-quiet"
    assert {"id", "sentence", "reached"} == answer["sometimes"][0].keys()
    assert (answer["violated"], answer["steps"], answer["scenario"]) == (None, None, None)


def test_breadth_first_and_depth_first_see_as_many_states(capsys: Capture) -> None:
    assert main([*QUICK, "--json"]) == 0
    breadth = told(capsys)
    assert main([*QUICK, "--depth-first", "--json"]) == 0
    depth = told(capsys)
    assert breadth["states"] == depth["states"]
    assert depth["exhausted"] is True


def test_states_that_differ_by_names_alone_are_seen_once_unless_all_are_wanted(
    capsys: Capture,
) -> None:
    three = ["explore", "--kind", "roles", "--no-hints"]
    assert main([*three, "--json"]) == 0
    once = told(capsys)
    assert main([*three, "--no-symmetry", "--json"]) == 0
    each = told(capsys)
    assert once["states"] < each["states"] <= once["renamings"] * once["states"]
    assert (each["renamings"], once["exhausted"]) == (1, True)
    assert main(three) == 0
    assert "that differ by names alone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("acceptors", "values", "distinct"),
    [(2, 1, 81), (2, 2, 145), (3, 1, 1681), (3, 2, 3921)],
)
def test_lamports_specification_has_as_many_states_as_tlc_counts(
    acceptors: int, values: int, distinct: int, capsys: Capture
) -> None:
    size = ["--acceptors", str(acceptors), "--values", str(values), "--ballots", "2"]
    assert main(["explore", "--spec", "lamport", *size, "--json"]) == 0
    answer = told(capsys)
    assert (answer["distinct"], answer["exhausted"]) == (distinct, True)
    assert answer["depth"] > 0


def test_the_count_is_told_in_words_too(capsys: Capture) -> None:
    assert main(["explore", "--spec", "lamport", *SMALL[3:]]) == 0
    assert "81 states of the specification" in capsys.readouterr().out


def test_a_count_that_is_cut_short_is_no_count(capsys: Capture) -> None:
    assert main(["explore", "--spec", "lamport", "--max-states", "1"]) == 3
    said = capsys.readouterr()
    assert "NOT exhausted" in said.out
    assert "not exhausted" in said.err


def test_without_a_rule_the_count_is_compared_with_that_of_the_specification(
    capsys: Capture,
) -> None:
    spec = ["explore", "--spec", "lamport", *SMALL[3:]]
    assert main([*spec, "--break", "equal-prepare-equal-answer", "--json"]) == 0
    answer = told(capsys)
    assert (answer["violated"], answer["distinct"], answer["specification"]) == (
        "exact-count",
        196,
        81,
    )
    assert main([*spec, "--break", "quorum-of-votes"]) == 1
    said = capsys.readouterr().err
    assert "as many states as in Lamport's specification" in said
    assert said.rstrip().endswith(": 81")


@pytest.mark.parametrize("limit", ["--seconds 0", "--memory nan", "--seconds soon"])
def test_a_limit_that_is_none_is_told_what_one_is(limit: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["explore", *limit.split()])
    assert "is no number above 0, as 0.5 or 60 are" in capsys.readouterr().err


# A rule that is left out.


def test_a_broken_rule_is_shown_by_a_scenario_that_can_be_played(
    tmp_path: Path, capsys: Capture
) -> None:
    saved, picture, text = (tmp_path / name for name in ("x.scenario", "x.svg", "x.mmd"))
    also = ["--save", str(saved), "--svg", str(picture), "--mermaid", str(text)]
    assert main(["explore", "--break", "ids-name-their-node", "--json", *also]) == 0
    answer = told(capsys)
    assert (answer["ok"], answer["violated"]) == (True, "one-value-an-id")
    assert answer["scenario"] == saved.read_text()
    played = play(answer["scenario"])
    assert [broken.invariant for broken in played.broken] == ["one-value-an-id"]
    assert answer["steps"] == len(played.commands) < 40
    assert main(["replay", str(saved)]) == 0
    assert "Without ids-name-their-node" in picture.read_text()
    assert text.read_text().startswith("sequenceDiagram")


def test_a_counterexample_ends_with_the_sentence_of_its_last_step(capsys: Capture) -> None:
    assert main(["explore", "--break", "quorums-meet"]) == 0
    said = capsys.readouterr().out
    assert "\n# The rule: " in said
    assert "BROKEN learns-what-is-chosen" in said
    assert "and at the last learns-what-is-chosen breaks: " in said.splitlines()[-1]


def test_a_rule_may_be_left_out_within_other_bounds(capsys: Capture) -> None:
    assert main(["explore", "--break", "quorums-meet", "--ballots", "1", "--json"]) == 0
    assert told(capsys)["violated"] == "learns-what-is-chosen"


def test_a_mutant_that_survives_ends_with_one(capsys: Capture) -> None:
    """One ballot needs no memory of another."""
    assert main([*QUICK, "--break", "adopts-the-highest"]) == 1
    assert "nothing goes wrong within these bounds" in capsys.readouterr().err


def test_a_mutant_that_no_invariant_shows_is_found_by_the_count(capsys: Capture) -> None:
    size = ["--acceptors", "2", "--values", "1"]
    assert main(["explore", "--break", "equal-prepare-equal-answer", *size, "--json"]) == 0
    answer = told(capsys)
    assert answer["violated"] == "exact-count"
    assert answer["distinct"] != answer["specification"] == 81


def test_a_rule_that_no_exploration_shows_is_told_with_what_does(capsys: Capture) -> None:
    assert main(["explore", "--break", "failed-sync-is-final"]) == 1
    assert "no exploration shows failed-sync-is-final" in capsys.readouterr().err


def test_a_rule_that_nobody_knows_is_refused(capsys: Capture) -> None:
    assert main(["explore", "--break", "promise-nothing"]) == 1
    assert "`paxos rules` lists them" in capsys.readouterr().err


def test_the_unbroken_code_survives_the_bounds_of_a_rule(capsys: Capture) -> None:
    assert main(["explore", "--like", "ids-name-their-node", "--json"]) == 0
    answer = told(capsys)
    assert (answer["exhausted"], answer["violated"]) == (True, None)


def break_secretly(monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    """Explore without this rule, whatever is asked."""

    def broken(bounds: Bounds, plan: Plan) -> Result:
        return search(replace(bounds, cluster=replace(bounds.cluster, breaks=rule)), plan)

    search = exploration.search
    monkeypatch.setattr(exploration, "search", broken)


def test_if_anything_breaks_it_ends_with_one_and_shows_how(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    break_secretly(monkeypatch, "quorum-of-votes")
    assert main(QUICK) == 1
    said = capsys.readouterr()
    assert "paxos: learns-what-is-chosen is broken: " in said.err
    assert "BROKEN  learns-what-is-chosen" in said.out
    assert "BROKEN learns-what-is-chosen: " in said.out  # in the transcript


def test_what_only_the_explorer_sees_is_marked_at_the_end_of_the_run() -> None:
    """A player judges what happens, not what does not."""
    result = verify.explore(verify.bounds_of(rule_of("quorums-meet")))
    assert result.counterexample is not None
    quiet = Violation("decides-when-quiet", "nobody knows of a decision")
    wrong = replace(result.counterexample, violation=quiet)
    found = Found(replace(result, violation=quiet, counterexample=wrong), 1.0, 1.0, None)
    assert found.happenings[-1] == Broke(*quiet)
    assert found.title == f"decides-when-quiet breaks in {wrong.steps} steps"


def test_to_break_a_rule_and_to_keep_it_is_nonsense(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explore", "--like", "quorums-meet", "--break", "quorums-meet"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


# What is asked.


def test_two_of_three_nodes_propose_unless_more_is_said() -> None:
    bounds = bounds_of()
    assert bounds.cluster.members == ("A", "B", "C")
    assert bounds.cluster.kind is Kind.NODE
    assert bounds.proposals == (("A", "a"), ("B", "b"))
    assert (bounds.ballots, bounds.crashes, bounds.timeouts) == (2, 0, 0)


def test_each_bound_is_taken_over() -> None:
    size = ["--nodes", "5", "--ballots", "3", "--crashes", "1", "--timeouts", "4"]
    bounds = bounds_of("--kind", "heartbeat", *size)
    assert bounds.cluster.members == ("A", "B", "C", "D", "E")
    assert bounds.cluster.kind is Kind.HEARTBEAT
    assert (bounds.ballots, bounds.crashes, bounds.timeouts) == (3, 1, 4)


@pytest.mark.parametrize(
    ("proposers", "values", "proposals"),
    [
        ("3", "2", (("A", "a"), ("B", "b"), ("C", "a"))),
        ("1", "2", (("A", "a"), ("A", "b"))),
        ("2", "1", (("A", "a"), ("B", "a"))),
    ],
)
def test_values_are_shared_out(
    proposers: str, values: str, proposals: tuple[tuple[str, str], ...]
) -> None:
    assert bounds_of("--proposers", proposers, "--values", values).proposals == proposals


def test_where_roles_stand_apart_each_ballot_has_a_proposer_that_may_want_any_value() -> None:
    bounds = bounds_of("--acceptors", "5", "--values", "2", "--ballots", "3")
    assert bounds.cluster.members == ("A1", "A2", "A3", "A4", "A5")
    assert bounds.cluster.proposers == ("P1", "P2", "P3")
    assert len(bounds.proposals) == 3 * 2
    assert (bounds.ballots, bounds.number, bounds.hints) == (3, 1, True)


def test_quorums_of_each_phase_have_their_size() -> None:
    quorums = bounds_of("--phase1", "3", "--phase2", "1").cluster.quorums
    assert quorums.has_phase2(["A"])
    assert not quorums.has_phase1(["A", "B"])


def test_hints_are_left_out_only_where_that_was_asked_for() -> None:
    assert bounds_of().hints is True
    assert bounds_of("--no-hints").hints is False
    assert bounds_of("--break", "promise-survives").hints is False
    assert bounds_of("--break", "promise-survives", "--hints").hints is True


def test_fewer_proposers_than_ballots_may_begin_again() -> None:
    bounds = bounds_of("--kind", "roles", "--proposers", "1", "--ballots", "3")
    assert bounds.cluster.proposers == ("P1",)
    assert (bounds.ballots, bounds.number) == (3, None)


def test_a_rule_brings_its_own_bounds_and_what_is_given_goes_first() -> None:
    rule = rule_of("promise-survives")
    assert rule.bounds is not None
    bounds = bounds_of("--break", rule.id, "--ballots", "4")
    assert bounds.cluster.members == rule.bounds.members
    assert bounds.cluster.breaks == rule.id
    assert (bounds.ballots, bounds.crashes) == (4, rule.bounds.crashes)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ("--timeouts 2", "--kind heartbeat"),
        ("--slow-disks", "--kind heartbeat"),
        ("--kind node --acceptors 3", "--nodes"),
        ("--kind roles --nodes 3", "--acceptors"),
        ("--nodes 2 --proposers 3", "no more proposers than nodes"),
        ("--nodes 27", "at most 26 nodes"),
        ("--values 27", "at most 26 values"),
    ],
)
def test_what_does_not_go_together_is_told_with_what_does(arguments: str, advice: str) -> None:
    with pytest.raises(MisuseError, match=advice):
        bounds_of(*arguments.split())


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ("--nodes 3", "--acceptors"),
        ("--kind heartbeat", "--acceptors"),
        ("--timeouts 1", "no timers"),
        ("--proposers 1", "one proposer"),
        ("--like quorums-meet", "one proposer"),
        ("--depth-first", "breadth-first"),
        ("--checkpoint x", "at one go"),
        ("--svg x.svg", "no run to show"),
    ],
)
def test_the_specification_knows_only_acceptors_values_and_ballots(
    arguments: str, advice: str, capsys: Capture
) -> None:
    assert main(["explore", "--spec", "lamport", *arguments.split()]) == 1
    assert advice in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--nodes", "--ballots", "--max-states"])
@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5"])
def test_what_is_no_count_is_nonsense(option: str, number: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explore", f"{option}={number}"])
    assert ended.value.code == 2
    assert "no whole number from 1 on" in capsys.readouterr().err


# Checkpoints.


def test_an_exploration_that_was_cut_short_goes_on_from_its_checkpoint(
    tmp_path: Path, capsys: Capture
) -> None:
    at = str(tmp_path / "checkpoint")
    assert main([*QUICK, "--json"]) == 0
    whole = told(capsys)
    assert main([*QUICK, "--max-states", "1", "--checkpoint", at]) == 3
    capsys.readouterr()
    assert main([*QUICK, "--resume", at, "--json"]) == 0
    assert told(capsys)["states"] == whole["states"]


def test_an_interrupted_exploration_says_how_to_go_on(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exploration, "search", interrupted)
    assert main([*QUICK, "--checkpoint", "somewhere"]) == 3
    assert "interrupted: go on with --resume somewhere" in capsys.readouterr().err
    assert main(QUICK) == 3
    assert capsys.readouterr().err == "paxos: interrupted\n"


def test_a_checkpoint_of_other_bounds_is_refused(tmp_path: Path, capsys: Capture) -> None:
    at = str(tmp_path / "checkpoint")
    assert main([*QUICK, "--max-states", "1", "--checkpoint", at]) == 3
    assert main([*QUICK, "--crashes", "1", "--resume", at]) == 1
    assert at in capsys.readouterr().err


# Limits and progress.


def test_each_limit_is_named_when_it_is_reached() -> None:
    limits = Limits(seconds=60, states=1000, memory=2 * GIB)
    assert limits.reached_by(Progress(states=999, bytes=GIB), seconds=59) is None
    assert "1,000 were asked for" in str(limits.reached_by(Progress(states=1000), seconds=0))
    assert "60 seconds" in str(limits.reached_by(Progress(), seconds=60))
    assert "2.0 GiB" in str(limits.reached_by(Progress(bytes=2 * GIB), seconds=0))


def test_memory_has_a_limit_even_if_none_is_given() -> None:
    there = memory_there()
    assert there is not None
    assert 0 < there == Limits().memory


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_a_line_comes_every_ten_seconds() -> None:
    out, clock = StringIO(), Clock()
    watcher = Watcher(Console(file=out), NO_LIMIT, clock)
    watcher(Progress(states=500))  # what a checkpoint brought was not seen in this time
    for clock.now in (1.0, 9.0, 10.0, 11.0, 19.0, 20.5):
        progress = Progress(states=1000, depth=7, frontier=50, bytes=3 * GIB)
        assert watcher(progress) is None
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0] == (
        "states 1,000  a second 50  frontier 50  depth 7  memory 3.00 GiB  time 10 s"
    )


def test_on_a_terminal_the_figures_are_redrawn_in_place() -> None:
    out, clock = StringIO(), Clock()
    console = Console(file=out, force_terminal=True, width=100)
    watcher = Watcher(console, NO_LIMIT, clock)
    with watcher.shown():
        clock.now = 100.0
        assert watcher(Progress(states=123_456, bytes=GIB)) is None
    assert "123,456" in out.getvalue()
    assert "1.00 GiB" in out.getvalue()


def test_under_json_nothing_is_shown() -> None:
    out, clock = StringIO(), Clock()
    watcher = Watcher(Console(file=out, force_terminal=True, quiet=True), NO_LIMIT, clock)
    with watcher.shown():
        clock.now = 100.0
        watcher(Progress())
    assert out.getvalue() == ""
