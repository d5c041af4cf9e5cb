"""The suite for a store: what a node's memory owes, sentence by sentence.

A store holds one state, as bytes, in a folder of a `paxos.disk.Disk`. Its contract:

1. `create` makes a store that holds the initial state, and shows it only when it is whole. Where
   one is, it is refused. `open` never makes one.
2. One process has it open at a time; a process that is gone does not hold it any more.
3. `save` returns when the state is on stable storage. After a crash at any moment, what is there
   is the state that was acknowledged last or the one being saved, and never an error.
4. `open` ends with a write: what it gives is on stable storage when it returns, even if it was
   read from a cache that never reached the disk.
5. A save that fails is final: the store takes no more until it is opened anew. No sync is tried
   again, and no call that took or gave less than all is taken for a success.
6. Damage to what was acknowledged is a fault. It costs nothing, or it stops the opening, which
   then changes nothing; no older state is given in its place.
7. When the disk or a file is at fault, a fault is raised (`faults`), and nothing else. What was
   opened is given back.

The disk's side: a sector changes whole or not at all, in any order until a sync returns; rot
restores no old content. `paxos.sim.disk_state` has all of it.
"""

from __future__ import annotations

from paxos.testing.store_bench import StoreUnderTest
from paxos.testing.store_crashes import StoreCrashes
from paxos.testing.store_damage import StoreDamage
from paxos.testing.store_faults import StoreFaults
from paxos.testing.store_life import StoreLife

__all__ = ["StoreSuite", "StoreUnderTest"]


class StoreSuite(StoreLife, StoreCrashes, StoreFaults, StoreDamage):
    """Derive a test class from it, and write `create` and `open`; the tests are inherited.

    `faults` and `misuse` name your errors; `state_bytes` says how large a state may be;
    `power_cuts_at_most`, `flip_every` and `histories` say how thorough the tests are.
    """
