"""The suite for a transport: what carries envelopes between nodes owes this much, and no more.

1. What arrives is what was sent. It may be lost, repeated, reordered or delayed: the algorithm
   bears all of that. It is never changed.
2. It arrives at its recipient alone, and only within its cluster.
3. The transport vouches for the sender: for its cluster, node ID and incarnation. (Against those
   who forge what goes over the network, that takes TLS or the like.)
4. `send` returns at once, and raises nothing that is a peer's fault. What waits is bounded: the
   rest is dropped.
5. While two nodes are up, what one of them says again and again arrives at the other, whatever a
   third one does.
6. Peers may go and come back, be there first or last, never read, or talk nonsense.
7. It ends with everything that it opened, soon, whatever still waits; after that nothing is heard.

The rest of a node counts on nothing else. Nothing here needs order, or a connection.
"""

from __future__ import annotations

from paxos.testing.transport_bench import Endpoint, Hear
from paxos.testing.transport_delivery import TransportDelivery
from paxos.testing.transport_trouble import TransportTrouble

__all__ = ["Endpoint", "Hear", "TransportSuite"]


class TransportSuite(TransportDelivery, TransportTrouble):
    """Derive a test class from it, and write `start`; the tests are inherited.

    They use real sockets on loopback. A transport over something else writes `addresses`, `deaf`,
    `say` and `overhear`, too. `value_bytes` and `most_bytes_waiting` are its bounds.
    """
