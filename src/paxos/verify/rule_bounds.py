"""Where the explorer finds a rule's mutant."""

from __future__ import annotations

from paxos.errors import MisuseError
from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.rule import Rule
from paxos.verify.model import Bounds


def bounds_of(rule: Rule, *, broken: bool = True) -> Bounds:
    """The bounds that a rule names, for its mutant or for the unmutated code.

    Raises `MisuseError` for a rule that the explorer has nothing to say about.
    """
    named = rule.bounds
    if named is None:
        raise MisuseError(
            f"no exploration shows {rule.id}: it is found by {rule.found_by.value} ({rule.test})"
        )
    cluster = Cluster(
        named.members,
        Kind(named.kind),
        named.proposers,
        named.phase1,
        named.phase2,
        breaks=rule.id if broken else None,
    )
    return Bounds(
        cluster,
        named.proposals,
        named.ballots,
        number=named.number,
        crashes=named.crashes,
        restarts=named.restarts,
        timeouts=named.timeouts,
        hints=named.hints,
    )
