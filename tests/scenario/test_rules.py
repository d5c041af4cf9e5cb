"""Every rule of the algorithm has all its faces, and they fit together."""

from __future__ import annotations

import json
import re

import pytest

from paxos.errors import MisuseError
from paxos.scenario.mutants import MUTANTS
from paxos.scenario.rule import FoundBy, Rule
from paxos.scenario.rules import BELIEFS, BELIEFS_ABOUT_LOGS, RULES, rule_of, rules_as_json
from paxos.scenario.transcript import shipped

BY_ID = {rule.id: rule for rule in RULES}
SCENARIOS = shipped()
every_rule = pytest.mark.parametrize("rule", RULES, ids=BY_ID)

FACES = {"id", "rule", "source", "mutant", "scenario", "test", "lesson"}


def test_no_two_rules_have_one_id() -> None:
    assert len(BY_ID) == len(RULES)


def test_every_rule_has_its_mutant_and_every_mutant_its_rule_in_one_order() -> None:
    assert list(MUTANTS) == list(BY_ID)


@every_rule
def test_an_id_is_short_and_can_be_typed(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
    assert len(rule.id) <= 30


@every_rule
def test_a_rule_is_one_sentence_with_a_source_and_a_story(rule: Rule) -> None:
    assert re.fullmatch(r"[A-Z][^.]*\.", rule.rule)
    assert rule.source
    assert rule.story.endswith(".")


@every_rule
def test_a_lesson_is_a_question_with_different_answers_one_of_them_right(rule: Rule) -> None:
    lesson = rule.lesson
    assert lesson.question.endswith("?")
    assert 2 <= len(set(lesson.answers)) == len(lesson.answers)
    assert 0 <= lesson.right < len(lesson.answers)
    assert lesson.why.endswith(".")


def test_the_right_answer_is_not_always_at_the_same_place() -> None:
    places = [rule.lesson.right for rule in RULES]
    assert min(places.count(place) for place in (0, 1, 2)) >= 3


@every_rule
def test_a_rule_has_bounds_if_and_only_if_the_explorer_finds_its_mutant(rule: Rule) -> None:
    assert (rule.bounds is not None) == (rule.found_by is FoundBy.EXPLORER)


@every_rule
def test_what_no_world_finds_says_why(rule: Rule) -> None:
    if rule.found_by in (FoundBy.TEST, FoundBy.EXACT_COUNT):
        assert rule.note


@every_rule
def test_a_rule_without_a_scenario_breaks_nothing_that_a_run_could_show(rule: Rule) -> None:
    if rule.scenario is None:
        assert rule.breaks == "nothing"
        assert rule.note
    else:
        assert rule.scenario.removesuffix(".scenario") in SCENARIOS


def test_every_broken_scenario_is_that_of_a_rule() -> None:
    broken = {f"{name}.scenario" for name in SCENARIOS if name.startswith("break-")}
    assert broken == {rule.scenario for rule in RULES if rule.scenario}


# What many believe. -------------------------------------------------------------------------


def test_every_belief_about_one_decision_is_met_by_a_rule() -> None:
    met = {belief for rule in RULES for belief in rule.misconceptions}
    assert met == BELIEFS.keys() - set(BELIEFS_ABOUT_LOGS)


def test_there_are_22_beliefs() -> None:
    assert list(BELIEFS) == [f"M{number}" for number in range(1, 23)]
    assert set(BELIEFS_ABOUT_LOGS) < BELIEFS.keys()


def test_programs_get_each_misconception_with_its_sentence() -> None:
    table = json.loads(json.dumps(rules_as_json()))
    told = [belief for rule in table for belief in rule["misconceptions"]]
    assert {"id": "M5", "belief": "Any value that is reported may be adopted."} in told
    assert {each["id"] for each in told} == BELIEFS.keys() - set(BELIEFS_ABOUT_LOGS)


# As others read it. -------------------------------------------------------------------------


def test_the_table_is_a_list_of_rules_that_can_be_written_as_json() -> None:
    table = json.loads(json.dumps(rules_as_json()))
    assert [entry["id"] for entry in table] == list(BY_ID)
    for entry in table:
        assert entry.keys() >= FACES
        assert entry["mutant"]
        assert entry["test"].startswith("tests/")


def test_a_rule_is_found_by_its_id() -> None:
    assert rule_of("adopts-the-highest").mutant == "AdoptsTheLowest"


def test_a_rule_that_nobody_knows_is_refused() -> None:
    with pytest.raises(MisuseError, match="paxos rules"):
        rule_of("be-nice")
