"""A short history with one of everything in it, of which each byte is frozen.

Run as `python tests/state_machine/history.py` (with `tests` on PYTHONPATH) it prints those bytes.
"""

from __future__ import annotations

import json
import sys

from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Change, Commands, Configuration, Entry, Member
from paxos.replica import Replica
from paxos.sessions import (
    ActivateVersion,
    ClientRequest,
    CloseSession,
    OpenSession,
    Request,
    SessionID,
    encode_request,
)
from paxos.snapshots import encode_manifest
from state_machine.machines import Inventory, asking, opening, plain

PUT = Inventory.put.call("bolt", 3).payload
RESERVE = Inventory.reserve.call("bolt", 9).payload
NOTE = Inventory.note.call("nut", "rusty").payload

REQUESTS: dict[str, Request] = {
    "request": ClientRequest(SessionID(7, 3), 9, 4, PUT),
    "request without a session": ClientRequest(None, 12345678901, 0, b""),
    "open": OpenSession(5),
    "close": CloseSession(SessionID(7, 3)),
    "activate": ActivateVersion(2, 6),
}

OLD = Configuration.of([Member("A", "1"), Member("B", "1"), Member("C", "1")])
NEW = Configuration.of([*OLD.members, Member("D", "2", "host:1")])

ENTRIES: tuple[Entry[bytes], ...] = (
    opening(1, 2),
    asking(SessionID(0, 0), 0, PUT),
    asking(SessionID(0, 0), 0, PUT),
    asking(SessionID(0, 1), 2, RESERVE, 1),
    plain(PUT, b"noise", NOTE),
    Commands((encode_request(ActivateVersion(2, 6)), b"noise")),
    NO_OP,
    plain(NOTE),
    Change(NEW),
)


def written() -> dict[str, str]:
    """All that is frozen, in hexadecimal."""
    requests = {name: encode_request(request).hex() for name, request in REQUESTS.items()}
    replica = Replica(Inventory, configurations=Configurations.fixed(OLD), window=4)
    digests = {}
    for slot, entry in enumerate(ENTRIES):
        replica.apply(slot, entry)
        digests[f"digest of slot {slot}"] = replica.digest.hex()
    taking = replica.snapshot()
    stream = b"".join(taking)
    manifest = encode_manifest(taking.manifest)
    return requests | digests | {"stream": stream.hex(), "manifest": manifest.hex()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(written(), indent=2) + "\n")
