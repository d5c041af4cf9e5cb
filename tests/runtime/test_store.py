"""A node's memory: made once, looked at without a change, opened by its owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from paxos import NOTHING_ACCEPTED, DurableState, MisuseError, Proposal, ProposalID, durable
from paxos.codec import STATE_OVERHEAD, encode_state
from paxos.runtime import create_store, inspect_store
from paxos.runtime.store import open_store
from runtime.loopback import Loopback

A1 = ProposalID(1, "A")


def test_a_new_store_is_fresh_and_promises_nothing(alone: Loopback) -> None:
    found = inspect_store(alone.folder("A"))
    assert found.is_sound
    assert found.report.answer is durable.Answer.FRESH
    assert found.state == DurableState(0, ProposalID(0, ""), NOTHING_ACCEPTED)
    assert found.problem is None


def test_two_stores_have_different_incarnations(alone: Loopback, tmp_path: Path) -> None:
    one = create_store(alone.cluster, "A", tmp_path / "one")
    other = create_store(alone.cluster, "A", tmp_path / "other")
    assert one.incarnation != other.incarnation


def test_a_store_is_made_once(alone: Loopback) -> None:
    before = inspect_store(alone.folder("A"))
    with pytest.raises(durable.StoreExistsError, match=str(alone.folder("A"))):
        create_store(alone.cluster, "A", alone.folder("A"))
    assert inspect_store(alone.folder("A")) == before


def test_a_store_is_made_only_for_a_node_of_the_cluster(alone: Loopback, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="'Z' is no node of this cluster: A"):
        create_store(alone.cluster, "Z", tmp_path / "Z")
    assert not (tmp_path / "Z").exists()


def test_a_store_shows_what_was_saved(alone: Loopback) -> None:
    state = DurableState(1, A1, Proposal(A1, b""))
    with open_store(alone.folder("A"), alone.cluster) as opened:
        opened.save(encode_state(state))
        assert inspect_store(alone.folder("A")).report.locked
    found = inspect_store(alone.folder("A"))
    assert found.state == state
    assert found.report.answer is durable.Answer.SOUND
    assert not found.report.locked


def test_a_store_has_room_for_the_largest_state(alone: Loopback) -> None:
    with open_store(alone.folder("A"), alone.cluster) as opened:
        assert opened.capacity >= alone.cluster.value_bytes + STATE_OVERHEAD
        opened.save(bytes(alone.cluster.value_bytes + STATE_OVERHEAD))


def test_nothing_is_no_store(tmp_path: Path) -> None:
    found = inspect_store(tmp_path / "Z")
    assert not found.is_sound
    assert found.report.answer is durable.Answer.LOST
    assert found.problem


def test_a_sound_store_of_something_else_is_no_memory_of_a_node(tmp_path: Path) -> None:
    durable.init(tmp_path / "A", durable.Owner("shop", "A", "first"), initial=b"a diary")
    found = inspect_store(tmp_path / "A")
    assert found.report.answer is durable.Answer.FRESH
    assert not found.is_sound
    assert "7 bytes that do not fit the format" in (found.problem or "")


def test_a_store_that_is_refused_is_unlocked_again(alone: Loopback) -> None:
    with pytest.raises(MisuseError):
        open_store(alone.folder("A"), alone.with_cluster(name="bakery").cluster)
    open_store(alone.folder("A"), alone.cluster).close()
