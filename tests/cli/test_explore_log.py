"""`paxos explore --kind log`: what it is asked becomes bounds, what it finds becomes words."""

from __future__ import annotations

import argparse
import json

import pytest

from paxos.cli import explore, main
from paxos.cli.arguments import Commands
from paxos.cli.log_exploration import bounds_from
from paxos.verify.log_bounds import LogBounds

SMALL = ["explore", "--kind", "log", "--acceptors", "1", "--taught", "none"]


def bounds_of(*arguments: str) -> LogBounds:
    parser = argparse.ArgumentParser()
    explore.add(Commands(parser))
    return bounds_from(parser.parse_args(["explore", "--kind", "log", *arguments]))


def test_a_small_log_is_exhausted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["exhausted"], answer["states"]) == (True, 342)


def test_nodes_have_all_roles_in_one() -> None:
    bounds = bounds_of("--nodes", "3", "--proposers", "2", "--slots", "2", "--crashes", "1")
    assert (bounds.members, bounds.proposers) == (("A", "B", "C"), ("A", "B"))
    assert (bounds.slots, bounds.crashes, bounds.number) == (2, 1, None)


def test_beside_acceptors_proposers_stand_apart_with_one_ballot_each() -> None:
    bounds = bounds_of("--acceptors", "3", "--change", "A+B+D", "--asked", "P")
    assert (bounds.proposers, bounds.number) == (("P", "Q"), 1)
    assert (bounds.changes, bounds.asked) == ((("A", "B", "D"),), ("P",))


def test_without_an_end_nothing_is_proved() -> None:
    assert main([*SMALL, "--max-states", "1"]) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["explore", "--slots", "2"],
        [*SMALL, "--values", "2"],
        [*SMALL, "--nodes", "2"],
        [*SMALL, "--change", "A++B"],
        ["explore", "--kind", "log", "--nodes", "2", "--proposers", "3"],
    ],
    ids=["no log", "values", "nodes and acceptors", "no names", "too many"],
)
def test_what_does_not_go_together_is_refused(arguments: list[str]) -> None:
    assert main(arguments) == 1
