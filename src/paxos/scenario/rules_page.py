"""`docs/rules.md`, made of the table of rules.

To write it anew: `python -m paxos.scenario.rules_page > docs/rules.md`.
"""

from __future__ import annotations

import sys
import textwrap

from paxos.scenario.rule import Outcome, Rule
from paxos.scenario.rules import BELIEFS, BELIEFS_ABOUT_LOGS, CHAPTERS, RULES

TITLE = "The rules, and what becomes of Paxos without each of them"

INTRODUCTION = f"""\
Paxos is a handful of rules. Each looks small, and most have been left out by somebody at some time.
This page has all {len(RULES)} of ours: what the rule says, where it comes from, and what becomes
of a cluster whose nodes drop it. For each there is

- a **mutant**: the class of a few lines that drops it, put into nodes that are otherwise real;
- a **scenario** in which that goes wrong: a text with comments, played by `paxos replay NAME`;
- a **test** of the real code that fails without it;
- a **question**: try to answer it before you look at the scenario.

`paxos rules RULE` shows the same in a terminal. Where the explorer found the mutant,
`paxos explore --break RULE` lets you watch it look for the shortest way to disaster. PMS is Leslie
Lamport, *Paxos Made Simple* (2001); "the contract" stands in `ARCHITECTURE.md`."""

OUTCOMES: dict[Outcome, str] = {
    "agreement": "two values are chosen",
    "one-value-an-id": "two values are proposed under one ID",
    "learns-what-is-chosen": "a value is believed chosen that is not",
    "no-conflict": "a node meets two values where there can be one",
    "progress": "somebody never learns a decision",
    "steady-leader": "a leader that could get values chosen loses its place",
    "nothing": "nothing that a run could show",
}


def render() -> str:
    """The page, as Markdown."""
    parts = [f"# {TITLE}", INTRODUCTION]
    for chapter, rules in CHAPTERS:
        parts += [f"## {chapter}", *(_entry(rule) for rule in rules)]
    return "\n\n".join([*parts, _beliefs()]) + "\n"


def _entry(rule: Rule) -> str:
    lesson = rule.lesson
    answers = [_wrapped(f"{i}. {answer}", "   ") for i, answer in enumerate(lesson.answers, 1)]
    paragraphs = [
        f"### {rule.id}",
        _wrapped(f"**{rule.rule}** ({rule.source})"),
        _wrapped(f"Without it: {rule.story}"),
        *([_wrapped(rule.note)] if rule.note else []),
        _wrapped(f"*{lesson.question}*"),
        "\n".join(answers),
        "<details><summary>The answer</summary>",
        _wrapped(f"{lesson.right + 1}. {lesson.why}"),
        "</details>",
        _faces(rule),
    ]
    return "\n\n".join(paragraphs)


def _faces(rule: Rule) -> str:
    """The table of the other faces."""
    name, (file, _, function) = f"break-{rule.id}", rule.test.partition("::")
    test = f"[{function.rpartition('::')[2]}](../{file})"
    scenario = f"[{name}](../src/paxos/scenario/files/{name}.scenario)" if rule.scenario else "none"
    breaks = OUTCOMES[rule.breaks]
    mutants = ", ".join(f"`{each}`" for each in rule.mutant.split(", "))
    return "\n".join(
        (
            "| breaks | mutant | found by | scenario | test |",
            "|---|---|---|---|---|",
            f"| {breaks} | {mutants} | {rule.found_by.value} | {scenario} | {test} |",
        )
    )


def _beliefs() -> str:
    rows = [f"| {belief} | {BELIEFS[belief]} | {_met_by(belief)} |" for belief in BELIEFS]
    return "\n".join(
        (
            "## What many believe, and what is not so",
            "",
            "`paxos rules --json` names these by the same IDs.",
            "",
            "| ID | belief | contradicted by |",
            "|---|---|---|",
            *rows,
        )
    )


def _met_by(belief: str) -> str:
    if belief in BELIEFS_ABOUT_LOGS:
        return "does not concern one decision"
    rules = [rule.id for rule in RULES if belief in rule.misconceptions]
    return ", ".join(f"[{rule_id}](#{rule_id})" for rule_id in rules)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


if __name__ == "__main__":
    sys.stdout.write(render())
