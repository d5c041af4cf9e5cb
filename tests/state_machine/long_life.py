"""A long, seeded life of a replica, with snapshots and restores in between.

Run as `python tests/state_machine/long_life.py SEED ...` (with `tests` on PYTHONPATH) it prints the
digests at the end of each life.
"""

from __future__ import annotations

import random
import sys

from paxos.log.entries import NO_OP, Change, Commands, Configuration, Entry, Member
from paxos.replica import Replica
from paxos.sessions import (
    ActivateVersion,
    ClientRequest,
    CloseSession,
    SessionID,
    SessionLimits,
    encode_request,
)
from state_machine.machines import Inventory, opening

SLOTS = 300
LIMITS = SessionLimits(sessions=4, window=8)
MEMBERS = [Member(name, "1") for name in "ABCDE"]


def live(seed: int) -> Replica[Inventory]:
    """Live through the life of this seed; return the replica at its end."""
    dice = random.Random(seed)
    replica = Replica(Inventory, limits=LIMITS, window=5)
    opened = [SessionID(0, 0)]
    for slot in range(SLOTS):
        for outcome in replica.apply(slot, entry(dice, opened)):
            if outcome.session is not None and outcome.session not in opened:
                opened.append(outcome.session)
        if dice.random() < 0.05:
            replica = moved(replica)
    return replica


def moved(replica: Replica[Inventory]) -> Replica[Inventory]:
    """The same replica on another node, by its snapshot."""
    taking = replica.snapshot()
    chunks = list(taking)
    other = Replica(Inventory, limits=LIMITS, window=5)
    other.restore(taking.manifest, chunks)
    return other


def entry(dice: random.Random, opened: list[SessionID]) -> Entry[bytes]:
    """What is chosen next."""
    match dice.choices(
        ["requests", "open", "close", "nothing", "change", "activate"], [9, 2, 1, 1, 1, 1]
    ):
        case ["requests"]:
            return Commands(tuple(request(dice, opened) for _ in range(dice.randint(1, 6))))
        case ["open"]:
            return opening(dice.randrange(20))
        case ["close"]:
            return Commands((encode_request(CloseSession(dice.choice(opened))),))
        case ["nothing"]:
            return NO_OP
        case ["activate"]:
            return Commands((encode_request(ActivateVersion(dice.randint(1, 2), 0)),))
        case _:
            return Change(Configuration.of(dice.sample(MEMBERS, 3)))


def request(dice: random.Random, opened: list[SessionID]) -> bytes:
    """A request of one of the newest clients, or noise."""
    item = dice.choice(["bolt", "nut", "screw", "Mutter"])
    call = dice.choice(
        [
            Inventory.put.call(item, dice.randint(1, 9)),
            Inventory.reserve.call(item, dice.randint(1, 9)),
            Inventory.note.call(item, "rusty"),
        ]
    )
    sequence = dice.randrange(40)
    below = max(sequence - dice.randrange(8), 0)
    session = dice.choice([None, *opened[-5:]])
    noise = dice.random() < 0.05
    return (
        dice.randbytes(9)
        if noise
        else encode_request(ClientRequest(session, sequence, below, call.payload))
    )


if __name__ == "__main__":
    for each in sys.argv[1:]:
        life = live(int(each))
        sys.stdout.write(f"{each} {life.digest.hex()} {life.state_digest().hex()}\n")
