"""The explorer finds the mutant of every rule that names its bounds, by a short way."""

from __future__ import annotations

import pytest

from paxos.scenario.rule import FoundBy, Rule
from paxos.scenario.rules import RULES
from paxos.scenario.transcript import write
from paxos.sim.player import play
from paxos.verify import Plan, bounds_of, explore
from paxos.verify.quiet import DECIDES

FOUND = [rule for rule in RULES if rule.found_by is FoundBy.EXPLORER]


def broken_by(rule: Rule) -> str:
    return DECIDES if rule.breaks == "progress" else rule.breaks


@pytest.mark.exhaustive
@pytest.mark.parametrize("rule", FOUND, ids=lambda rule: rule.id)
def test_the_mutant_is_found_in_fewer_than_40_steps_and_the_stage_agrees(rule: Rule) -> None:
    wanted = broken_by(rule)
    found = explore(bounds_of(rule), Plan(only=wanted)).counterexample
    assert found is not None, f"{rule.id} survives"
    assert found.violation.invariant == wanted
    assert found.steps < 40
    played = play(write(found.opening, found.commands))
    if wanted != DECIDES:  # a stage cannot tell that nothing more will ever happen
        assert wanted in {each.invariant for each in played.broken}
