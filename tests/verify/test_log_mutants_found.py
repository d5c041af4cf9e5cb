"""Each rule that a log adds, broken, is found out by the explorer, by a shortest way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paxos.verify.explore import Plan
from paxos.verify.log_bounds import LogBounds, LogRules
from paxos.verify.log_explore import explore_log
from verify import log_mutants as mutants

pytestmark = pytest.mark.long

ONE = LogBounds(("A",), ("P", "Q"), slots=2, ballots=2, number=1)
SILENT = replace(ONE, taught=())
CHANGING = LogBounds(("A",), ("A",), slots=3, window=2, ballots=1, changes=(("A", "B"),))

ACROSS = LogBounds(("A", "B", "C"), ("P", "Q"), slots=1, ballots=2, number=1)

TOLD = replace(ACROSS, taught=("A", "P"))

SAFETY = None
"""All invariants are asked, and the first that breaks is told."""

MUTANTS = [
    ("TakesAPageForAll", replace(SILENT, page=1), SAFETY, "promises-allow-it", 11),
    ("TakesAPageForAll", replace(SILENT, page=1), "agreement", "agreement", 12),
    ("TakesWhatIsTrimmedForFree", ONE, SAFETY, "promises-allow-it", 11),
    ("TrustsTheIndex", replace(ACROSS, taught=("A", "B")), SAFETY, "learns-what-is-chosen", 17),
    ("TrustsTheIndex", replace(ACROSS, taught=("A", "B")), "agreement", "agreement", 18),
    ("ClaimsAfterItsBallot", TOLD, SAFETY, "chosen-below-is-chosen", 19),
    ("ChangesAtOnce", replace(CHANGING, again=True), SAFETY, "decides-when-quiet", 14),
    ("ProposesPastItsWindow", replace(SILENT, window=1), SAFETY, "within-the-window", 5),
    ("FillsWithoutAsking", SILENT, SAFETY, "promises-allow-it", 9),
    ("FillsWithoutAsking", SILENT, "agreement", "agreement", 10),
    ("BeginsAfterTheHoles", SILENT, SAFETY, "decides-when-quiet", 9),
    ("PromisesForNewSlotsOnly", SILENT, SAFETY, "promise-kept", 9),
    ("PromisesForNewSlotsOnly", SILENT, "agreement", "agreement", 11),
    ("MARK_FIRST", replace(ONE, slots=1, ballots=1, crashes=1), SAFETY, "in-order", 8),
]


@pytest.mark.parametrize(
    ("name", "bounds", "only", "invariant", "steps"),
    MUTANTS,
    ids=[f"{name} {invariant}" for name, _, _, invariant, _ in MUTANTS],
)
def test_a_rule_that_is_broken_is_found_by_a_shortest_way(
    name: str, bounds: LogBounds, only: str | None, invariant: str, steps: int
) -> None:
    result = explore_log(replace(bounds, rules=rules_of(name)), Plan(only=only))
    assert result.violation is not None
    assert result.violation.invariant == invariant
    assert result.counterexample is not None
    assert result.counterexample.steps == steps


def rules_of(name: str) -> LogRules:
    rules = getattr(mutants, name)
    return rules if isinstance(rules, LogRules) else LogRules(rules)


def test_a_way_to_what_is_wrong_is_told_step_by_step() -> None:
    bounds = replace(SILENT, window=1, rules=rules_of("ProposesPastItsWindow"))
    found = explore_log(bounds).counterexample
    assert found is not None
    assert found.text.splitlines() == [
        "  1  P begins a ballot",
        "  2  P -> A: prepare 1.P from slot 0 on",
        "  3  A -> P: promise 1.P from slot 0 on",
        "  4  P is asked for p0",
        "  5  P is asked for p1",
        (
            "BROKEN within-the-window: P proposes in slot 1, and slot 0 is not chosen: "
            "nobody knows yet who decides there"
        ),
    ]
