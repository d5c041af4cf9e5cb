"""Every scenario that comes with the library plays to the output that is checked in with it.

After a change that is meant, write the outputs anew by `paxos replay FILE --rewrite`, and read the
difference.
"""

from __future__ import annotations

import re

import pytest

from paxos.scenario.invariants import INVARIANTS
from paxos.scenario.transcript import difference, parse, shipped
from paxos.sim.player import play

SCENARIOS = shipped()
STORIES = [name for name in SCENARIOS if name[0].isdigit()]
"""Those for newcomers, in reading order. In the others a rule is broken on purpose."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_plays_to_its_checked_in_output(name: str) -> None:
    shown = difference(SCENARIOS[name], play(SCENARIOS[name]).text)
    assert not shown, f"{name}:\n{shown}"


@pytest.mark.parametrize("name", STORIES)
def test_where_no_rule_is_broken_nothing_else_is(name: str) -> None:
    played = play(SCENARIOS[name])
    assert played.broken == ()
    assert played.opening.cluster.breaks is None


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name.startswith("break-")])
def test_where_a_rule_is_broken_the_scenario_names_it(name: str) -> None:
    assert play(SCENARIOS[name]).opening.cluster.breaks is not None


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name.startswith("bug-")])
def test_a_bug_that_was_is_gone(name: str) -> None:
    played = play(SCENARIOS[name])
    assert played.broken == ()
    assert any("is chosen" in line for line in played.text.splitlines())


def test_stories_are_numbered_without_a_gap() -> None:
    assert [int(name[:2]) for name in STORIES] == list(range(1, len(STORIES) + 1))


@pytest.mark.parametrize("name", STORIES)
def test_a_story_begins_with_its_point_and_says_where_it_comes_from(name: str) -> None:
    first, *_ = parse(SCENARIOS[name])
    comment = "\n".join(line.text for line in first.lines)
    assert not first.commands
    assert re.match(r"# .+\.\n", comment), (
        "the first line is one sentence, and ends with a full stop"
    )
    assert re.search(r"PMS|\b(19|20)\d\d\b|\w#\d+|see ARCHITECTURE", comment), "cite a source"


@pytest.mark.parametrize("name", SCENARIOS)
def test_comments_fit_on_a_page(name: str) -> None:
    comments = [line for line in SCENARIOS[name].split("\n") if line.startswith("#")]
    assert max(map(len, comments)) <= 100


def test_the_stories_put_every_invariant_to_the_test() -> None:
    reached = {invariant for name in STORIES for invariant in play(SCENARIOS[name]).reached}
    assert reached >= {invariant.id for invariant in INVARIANTS}
    assert reached >= {"leader-can-commit", "tick-moves-on", "nothing-lost", "decay-is-found"}
