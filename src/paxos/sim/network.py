"""The fate of each message: when it arrives, how often, or that it is lost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from paxos.messages import Envelope
from paxos.sim.faults import Fault
from paxos.sim.swarm import Conditions, Link


class Network:
    """Draws when a message arrives. What is on its way is lost if its link is cut by then."""

    def __init__(
        self, conditions: Conditions, rng: random.Random, happened: Counter[Fault]
    ) -> None:
        """Take how the network is, where its luck comes from, and where its faults are counted."""
        self.conditions = conditions
        self._rng = rng
        self._happened = happened
        self._cuts: dict[Link, list[Fault | None]] = {}
        self._latest: dict[Link, float] = {}

    def arrivals(self, envelope: Envelope[object], now: float) -> list[float]:
        """The instants (seconds) at which a message that leaves now arrives; none if it is lost."""
        conditions, rng = self.conditions, self._rng
        word = type(envelope.message)
        link = (envelope.sender.node_id, envelope.recipient)
        loss, late = conditions.loss.get(word, 0.0), conditions.late.get(word, 0.0)
        if conditions.bad_links:
            loss = max(loss, conditions.bad_links.get(link, 0.0))
        copies = 1
        if conditions.repeats and rng.random() < conditions.repeats:
            copies = 2
        arrivals: list[float] = []
        for _ in range(copies):
            if loss and rng.random() < loss:
                self._happened[Fault.LOSS] += 1
            else:
                arrivals.append(self._arrival(link, now, late))
        if len(arrivals) > 1:
            self._happened[Fault.REPEAT] += 1
        return arrivals

    def _arrival(self, link: Link, now: float, late: float) -> float:
        conditions, rng = self.conditions, self._rng
        low, high = conditions.latency
        at: float = now + low * (high / low) ** rng.random()
        latest = self._latest.get(link, 0.0)
        if conditions.in_order:
            at = max(at, latest)
        elif at < latest:
            self._happened[Fault.REORDER] += 1
        self._latest[link] = max(at, latest)
        if late and rng.random() < late:
            # Whatever is held up does not hold up what comes after it: it took another way.
            at += rng.uniform(*conditions.held_up)
            self._happened[Fault.LATE] += 1
        return round(at, 6)

    def lets_through(self, link: Link) -> bool:
        """Whether what comes over this link now arrives."""
        cuts = self._cuts.get(link)
        if not cuts:
            return True
        for fault in cuts:
            if fault is not None:
                self._happened[fault] += 1
        return False

    def turn(self, conditions: Conditions) -> None:
        """From now on the network is like this, and all links are whole."""
        self.conditions = conditions
        self._cuts.clear()

    def cut(self, links: Iterable[Link], fault: Fault | None) -> None:
        """Cut these links, for this reason. A link may be cut for many reasons at once."""
        for link in links:
            self._cuts.setdefault(link, []).append(fault)

    def forget_order(self) -> None:
        """What is on its way holds up nothing that is sent from now on."""
        self._latest.clear()
