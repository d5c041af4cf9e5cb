"""A run as a sequence diagram: what left whom, when it arrived, and what came of it.

`svg` draws the space-time diagram of Lamport's *Time, Clocks, and the Ordering of Events* (1978): a
column for each node, time downwards, and an arrow from the instant at which a message leaves to
that at which it arrives. `mermaid` writes the same run as text for pages that know Mermaid; there
a message is shown where it arrives.
"""

from paxos.scenario.diagram.mermaid import mermaid
from paxos.scenario.diagram.svg import svg

__all__ = ["mermaid", "svg"]
