"""The table of rules: one entry for each rule of the algorithm.

An entry is the rule, its source, the mutant that drops it, the scenario in which that goes wrong,
the test that catches it, and a question for learners. Tests, explorer, command line and
documentation all read it. Its order is that in which the algorithm is best understood.
"""

from __future__ import annotations

from paxos.errors import MisuseError
from paxos.scenario.rule import Rule
from paxos.scenario.rules_of_memory import RULES_OF_CRASHES, RULES_OF_DISKS, RULES_OF_PERSISTING
from paxos.scenario.rules_of_progress import RULES_OF_BALLOTS, RULES_OF_LEADERS
from paxos.scenario.rules_of_roles import RULES_OF_ACCEPTORS, RULES_OF_CHOICE, RULES_OF_PROPOSERS

CHAPTERS: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("What an acceptor owes", RULES_OF_ACCEPTORS),
    ("What a proposer may propose", RULES_OF_PROPOSERS),
    ("What is chosen", RULES_OF_CHOICE),
    ("What a crash must not take away", RULES_OF_CRASHES),
    ("What is on the disk before it is said", RULES_OF_PERSISTING),
    ("What a disk and a stranger may be believed", RULES_OF_DISKS),
    ("How a ballot comes to its end", RULES_OF_BALLOTS),
    ("How one proposer comes to be left alone", RULES_OF_LEADERS),
)
"""The rules, in the order in which they are best read."""

RULES: tuple[Rule, ...] = tuple(rule for _, rules in CHAPTERS for rule in rules)

BELIEFS: dict[str, str] = {
    "M1": "Accepted means chosen.",
    "M2": "Once a majority has accepted a value, no server can accept another.",
    "M3": "An acceptor never changes what it has accepted.",
    "M4": "A majority that holds the same value suffices.",
    "M5": "Any value that is reported may be adopted.",
    "M6": "Only what was accepted needs a disk; promises do not.",
    "M7": "One saved ballot is enough.",
    "M8": "A ballot may be used again after a restart.",
    "M9": "To accept need not raise the promise.",
    "M10": "The order of number and node in an ID does not matter at all.",
    "M11": "The message that announces the decision makes it.",
    "M12": "A follower may mark slots chosen from the leader's index alone.",
    "M13": "A leader always needs exactly one Prepare.",
    "M14": "Safety needs a single leader.",
    "M15": "Livelock shows that Paxos is wrong.",
    "M16": "A ballot and a slot are the same number.",
    "M17": "Replication replaces fsync.",
    "M18": "A wiped replica is just a restarted one.",
    "M19": "Old members may stop once the new configuration is chosen.",
    "M20": "A Prepare carries a value; Accepts go only to those that promised.",
    "M21": "Two nodes are safer than one; a minority can go on.",
    "M22": "A time-out means failure.",
}
"""What many believe about Paxos at some time, and what is not so: each under an ID of ours."""

BELIEFS_ABOUT_LOGS: tuple[str, ...] = ("M12", "M13", "M16", "M19")
"""Those that do not concern one decision: they need slots, or members that change."""


def rule_of(rule_id: str) -> Rule:
    """The rule of this ID. Raises `MisuseError` if there is none."""
    for rule in RULES:
        if rule.id == rule_id:
            return rule
    raise MisuseError(f"there is no rule {rule_id!r}: `paxos rules` lists them")


def rules_as_json() -> list[dict[str, object]]:
    """The table, as `paxos rules --json` prints it."""
    return [_as_json(rule) for rule in RULES]


def _as_json(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "rule": rule.rule,
        "source": rule.source,
        "mutant": rule.mutant,
        "scenario": rule.scenario,
        "test": rule.test,
        "lesson": {
            "question": rule.lesson.question,
            "answers": list(rule.lesson.answers),
            "right": rule.lesson.right,
            "why": rule.lesson.why,
        },
        "story": rule.story,
        "breaks": rule.breaks,
        "found_by": rule.found_by.value,
        "misconceptions": [
            {"id": belief, "belief": BELIEFS[belief]} for belief in rule.misconceptions
        ],
        "note": rule.note,
    }
