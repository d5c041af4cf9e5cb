"""`paxos rules`: the table of rules, and one of them in full."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paxos.cli import main
from paxos.scenario.mutants import MUTANTS
from paxos.scenario.rules import CHAPTERS, RULES

Capture = pytest.CaptureFixture[str]
RULE = RULES[0]


def told(capture: Capture) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = json.loads(capture.readouterr().out)
    return rules


def test_all_rules_are_listed_each_with_its_source(capsys: Capture) -> None:
    assert main(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RULES)
    assert lines[0] == f"{RULE.id}: {RULE.rule} [{RULE.source}]"


def test_on_a_terminal_each_chapter_is_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["rules"]) == 0
    said = capsys.readouterr().out
    for chapter, rules in CHAPTERS:
        assert chapter in said
        assert rules[0].id in said


def test_programs_get_all_faces_of_each_rule(capsys: Capture) -> None:
    assert main(["rules", "--json"]) == 0
    rules = told(capsys)
    assert [each["id"] for each in rules] == [rule.id for rule in RULES]
    for each in rules:
        assert {"id", "rule", "source", "mutant", "scenario", "test", "lesson"} <= each.keys()
        assert 0 <= each["lesson"]["right"] < len(each["lesson"]["answers"])


def test_one_rule_is_explained_and_its_answer_comes_last(capsys: Capture) -> None:
    assert main(["rules", RULE.id]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for face in (RULE.rule, RULE.source, RULE.story, RULE.mutant):
        assert face in said
    assert RULE.test in said.replace(" ", "")
    assert said.index(RULE.lesson.question) < said.index(RULE.lesson.why)
    assert said.endswith(f"Answer: {RULE.lesson.right + 1}. {RULE.lesson.why}")


@pytest.mark.parametrize("rule_id", MUTANTS)
def test_every_mutant_has_a_rule_that_can_be_explained(rule_id: str, capsys: Capture) -> None:
    assert main(["rules", rule_id, "--json"]) == 0
    assert [each["id"] for each in told(capsys)] == [rule_id]


def test_a_rule_that_nobody_knows_is_told_with_the_nearest(capsys: Capture) -> None:
    assert main(["rules", RULE.id[:-1]]) == 1
    assert f"Is it {RULE.id}?" in capsys.readouterr().err
