"""The page of rules says what the table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paxos.scenario.rule import Rule
from paxos.scenario.rules import RULES
from paxos.scenario.rules_page import render

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "rules.md"


def test_the_page_is_current() -> None:
    """If not: `python -m paxos.scenario.rules_page > docs/rules.md`."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_its_links_lead_somewhere() -> None:
    links = set(re.findall(r"\]\(([^)#]+)\)", render()))
    assert links
    assert [link for link in links if not (DOCS / link).is_file()] == []


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_a_rule_has_a_heading_of_its_own(rule: Rule) -> None:
    assert render().count(f"\n### {rule.id}\n") == 1
