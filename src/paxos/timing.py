"""How long things take, and how long to hold back, in seconds. Handed in, the same everywhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from paxos.errors import MisuseError

NEVER = float("inf")

MAX_DOUBLINGS = 6
"""Back-off stops growing at 64 times its first length: longer would outlast most partitions."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take, in seconds. The same for all nodes of a cluster, but for the seed."""

    interval: float = 0.05
    """Between two rounds, and before something is sent again."""

    window: float = 0.3
    """The liveness window. Longer than a few rounds and two slow syncs together."""

    backoff: float = 0.05
    """Scales back-offs: after k failed ballots, half to one and a half times `backoff * 2**k`."""

    seed: int = 0
    """Makes back-offs differ between runs. Between nodes they differ anyway."""

    def __post_init__(self) -> None:
        if not 0 < self.interval < self.window < NEVER or not 0 < self.backoff < NEVER:
            raise MisuseError("timing needs 0 < interval < window and 0 < backoff, in seconds")

    def delay(self, node_id: str, attempt: int) -> float:
        """Seconds to hold back before this attempt: it grows, and differs by node.

        A pure function of seed, node and attempt. Duels end because two nodes that keep drawing
        from intervals that double will at last draw instants more than a ballot apart.
        """
        draw = hashlib.blake2b(f"{self.seed}/{node_id}/{attempt}".encode(), digest_size=8)
        fraction = int.from_bytes(draw.digest(), "big") / 2**64
        return self.backoff * 2.0 ** min(attempt, MAX_DOUBLINGS) * (0.5 + fraction)
