"""Each scenario of a broken rule shows what goes wrong without the rule, and not with it."""

from __future__ import annotations

import re
from functools import cache

import pytest

from paxos.errors import MisuseError
from paxos.events import LeadershipLost, ValueChosen
from paxos.scenario.happenings import Told
from paxos.scenario.rule import Rule
from paxos.scenario.rules import RULES
from paxos.scenario.transcript import parse, shipped
from paxos.sim.player import Played, play

SCENARIOS = shipped()
SHOWN = [rule for rule in RULES if rule.scenario]


def those_that_break(*outcomes: str) -> pytest.MarkDecorator:
    rules = [rule for rule in SHOWN if rule.breaks in outcomes]
    return pytest.mark.parametrize("rule", rules, ids=[rule.id for rule in rules])


every_scenario = pytest.mark.parametrize("rule", SHOWN, ids=[rule.id for rule in SHOWN])
SAFE = ("progress", "steady-leader", "nothing")
"""Where nothing wrong is ever chosen."""

UNSAFE = [rule for rule in SHOWN if rule.breaks not in SAFE]
every_unsafe_scenario = pytest.mark.parametrize("rule", UNSAFE, ids=[rule.id for rule in UNSAFE])


def text_of(rule: Rule) -> str:
    return SCENARIOS[f"break-{rule.id}"]


def comments_of(rule: Rule) -> str:
    lines = [line.text for block in parse(text_of(rule)) for line in block.lines]
    return " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))


@cache
def without(rule: Rule) -> Played:
    """The scenario as it is."""
    return play(text_of(rule))


@cache
def with_all_rules(rule: Rule) -> Played | None:
    """The same played by real nodes; None if they do not come that far."""
    text, found = re.subn(r"(?m)^(cluster .*) breaks=\S+", r"\1", text_of(rule))
    assert found == 1
    try:
        return play(text)
    except MisuseError:
        return None


def broken(played: Played) -> set[str]:
    return {each.invariant for each in played.broken}


def informed(played: Played) -> set[str]:
    """Who has learned a decision."""
    told = [each for each in played.happenings if isinstance(each, Told)]
    return {each.node_id for each in told if isinstance(each.event, ValueChosen)}


def lost_leaderships(played: Played) -> int:
    told = [each for each in played.happenings if isinstance(each, Told)]
    return sum(isinstance(each.event, LeadershipLost) for each in told)


@every_scenario
def test_it_drops_that_rule_and_begins_by_saying_so(rule: Rule) -> None:
    assert without(rule).opening.cluster.breaks == rule.id
    comment = " ".join(
        line.text.removeprefix("#").strip() for line in parse(text_of(rule))[0].lines
    )
    assert comment.startswith(f"Dropped: {rule.rule}")


@every_scenario
def test_it_says_where_it_goes_wrong(rule: Rule) -> None:
    assert rule.breaks == "nothing" or "Here it goes wrong" in comments_of(rule)


@every_unsafe_scenario
def test_without_the_rule_what_it_protects_is_broken(rule: Rule) -> None:
    assert broken(without(rule)) & {rule.breaks, "agreement"}


@every_unsafe_scenario
def test_with_the_rule_it_is_not(rule: Rule) -> None:
    played = with_all_rules(rule)
    assert played is None or not broken(played) & {rule.breaks, "agreement"}


@every_unsafe_scenario
def test_it_takes_fewer_than_40_steps(rule: Rule) -> None:
    assert len(without(rule).commands) < 40


@those_that_break("progress")
def test_without_the_rule_somebody_never_learns_who_learns_with_it(rule: Rule) -> None:
    real = with_all_rules(rule)
    assert real is None or informed(without(rule)) < informed(real)


@those_that_break("progress")
def test_without_the_rule_nothing_wrong_is_chosen(rule: Rule) -> None:
    assert not broken(without(rule)) & {"agreement", "validity", "learns-what-is-chosen"}


@those_that_break("steady-leader")
def test_without_the_rule_a_leader_loses_its_place_and_with_it_none_does(rule: Rule) -> None:
    real = with_all_rules(rule)
    assert real is not None
    assert lost_leaderships(without(rule)) > lost_leaderships(real) == 0


@those_that_break("nothing")
def test_without_the_rule_something_is_said_that_is_not_said_with_it(rule: Rule) -> None:
    assert broken(without(rule)) == set()
    assert with_all_rules(rule) is None
