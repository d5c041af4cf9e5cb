"""Small clusters to search, and searches that look often enough to be interrupted in them."""

from __future__ import annotations

from collections.abc import Callable

from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.rules import rule_of
from paxos.verify import Bounds, bounds_of, separate_roles
from paxos.verify.model import Model
from paxos.verify.quiet import undecided
from paxos.verify.search import Progress, Search
from paxos.verify.symmetry import Symmetry
from paxos.verify.table import Table

SEPARATE = separate_roles(2, 2, 2)
CRASHING = Bounds(Cluster(("A", "B", "C")), (("A", "x"),), ballots=1, crashes=1)
DUELLING = Bounds(Cluster(("A", "B")), (("A", "x"), ("B", "y")), ballots=2)
BEATING = Bounds(
    Cluster(("A", "B"), Kind.HEARTBEAT), (("A", "x"), ("B", "y")), ballots=1, timeouts=1
)

ALL = {"separate": SEPARATE, "crashing": CRASHING, "duelling": DUELLING, "beating": BEATING}

BROKEN = bounds_of(rule_of("new-id-for-each-ballot"))
BREAKS = "one-value-an-id"


def search_of(
    bounds: Bounds,
    *,
    symmetry: bool = False,
    watch: Callable[[Progress], str | None] = lambda _: None,
) -> Search:
    """A search that has not begun. It looks after each 50 states."""
    table = Table(Model(bounds))
    return Search(
        table,
        lambda state: undecided(table, state),
        watch,
        Symmetry(table) if symmetry else None,
        look_after=50,
    )


def found_by(search: Search) -> dict[str, object]:
    """What must be the same however the search was done."""
    progress, table = search.progress, search.table
    return {
        "states": progress.states,
        "transitions": progress.transitions,
        "depth": progress.depth,
        "quiet": progress.quiet,
        "is_exhausted": search.is_exhausted,
        "local states": table.local_states,
        "messages": table.messages,
        "steps": table.steps,
        "reached": sorted(table.reached),
    }
