"""The formats are frozen: these bytes were written once, and every later version reads them.

The digests are part of it: nodes of two releases are compared by them. A change that breaks this
test needs a new version of the format, and a new fixture beside the old.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paxos.replica import Replica
from paxos.sessions import decode_request
from paxos.snapshots import decode_manifest
from state_machine.history import ENTRIES, REQUESTS, written
from state_machine.machines import Inventory

FROZEN: dict[str, str] = json.loads(
    (Path(__file__).parent / "fixtures" / "format-1.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", FROZEN)
def test_is_written_as_ever(name: str) -> None:
    assert written()[name] == FROZEN[name]


def test_nothing_is_left_out() -> None:
    assert written().keys() == FROZEN.keys()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_read_as_ever(name: str) -> None:
    assert decode_request(bytes.fromhex(FROZEN[name])) == REQUESTS[name]


def test_a_snapshot_is_read_as_ever() -> None:
    replica = Replica(Inventory)
    replica.restore(
        decode_manifest(bytes.fromhex(FROZEN["manifest"])), [bytes.fromhex(FROZEN["stream"])]
    )
    assert replica.applied_below == len(ENTRIES)
    assert replica.machine.stock == {"bolt": 6}
    assert replica.machine.notes == {"nut": "rusty"}
    assert replica.sessions == 2
