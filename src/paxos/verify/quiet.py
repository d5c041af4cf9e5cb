"""What must be true once nothing happens any more by itself.

A state is quiet when no message, persist or restart changes anything: all that was sent has arrived
everywhere. Paxos promises no progress to proposers that duel, but a ballot that nobody outbids has
nothing to wait for: then it must have decided.
"""

from __future__ import annotations

from paxos.heartbeat import HeartbeatNode
from paxos.messages import NOTHING_CHOSEN
from paxos.node import Node, Phase
from paxos.proposal_id import NO_PROPOSAL
from paxos.verify.model import Down, Local
from paxos.verify.table import Table
from paxos.verify.verdicts import Violation

DECIDES = "decides-when-quiet"
ALWAYS = (
    "When nothing happens any more by itself, the highest ballot has decided, "
    "and every node that takes part knows it."
)


def undecided(table: Table, state: int) -> Violation | None:
    """What is wrong with a quiet state: its highest ballot lives, and somebody does not know."""
    locals_, bounds = table.settled(state), table.model.bounds
    running = [node for each in locals_ if (node := _taking_part(each)) is not None]
    highest = max((node.proposer.ballot for node in running), default=NO_PROPOSAL)
    if highest == NO_PROPOSAL:
        return None
    owner = next(node for node in running if node.proposer.ballot == highest)
    _, crashes, _ = table.counters(state)
    if owner.chosen is NOTHING_CHOSEN and owner.proposer.phase is Phase.IDLE and crashes:
        return None  # its ballot ended with a crash, and nobody has begun another
    must_know = running if bounds.hints else [owner]
    for node in must_know:
        if node.chosen is NOTHING_CHOSEN and (
            node is owner or node.node_id in bounds.cluster.members
        ):
            return Violation(
                DECIDES,
                f"nothing happens any more, nobody outbids {highest}, "
                f"and {node.node_id} knows of no decision",
            )
    return None


def _taking_part(local: Local) -> Node[str] | None:
    """The node if it runs, and makes progress by messages alone: heartbeats need time."""
    if isinstance(local, Down) or local.snapshot.stopped is not None:
        return None
    node = local.snapshot.node
    return None if isinstance(node, HeartbeatNode) else node
