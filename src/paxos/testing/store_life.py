"""The part of the store's suite in which the disk is well."""

from __future__ import annotations

from functools import partial

from paxos.sim.simulated_disk import SimulatedDisk
from paxos.testing.contract import demand, short
from paxos.testing.store_bench import StoreBench


class StoreLife(StoreBench):
    """From the first state to the last, and who may have the store open."""

    def test_a_new_store_holds_the_initial_state(self) -> None:
        """`create` makes it, `open` finds it."""
        self.require(self.created().state, {self.filled("i"): "the initial one"}, "Created.")

    def test_what_was_saved_last_is_there_when_it_is_opened_again(self) -> None:
        """Whatever was there before: a longer state, a shorter one, none."""
        disk = self.created()
        for state in (self.filled("a"), b"short", b"", self.filled("b"), b"\0", self.filled("c")):
            store = self.open(disk)
            store.save(state)
            demand(
                store.state == state,
                f"save({short(state)}) returned, and the state is {short(store.state)}",
            )
            store.close()
            self.require(disk.state, {state: "saved last"}, f"save({short(state)}) returned.")

    def test_many_saves_in_one_life_end_with_the_last(self) -> None:
        """Nothing wears out, or piles up."""
        disk = self.created()
        store = self.open(disk)
        for number in range(50):
            store.save(b"%d" % number)
        store.close()
        self.require(disk.state, {b"49": "saved last"}, "50 states were saved.")

    def test_create_leaves_a_store_alone(self) -> None:
        """A second `create` is refused, whether or not anything was ever saved."""
        for disk in (self.created(), self.disk_with("a")):
            held = self.look(disk.state, "Created.")
            self.require_misuse(
                "create, where there is a store,",
                partial(self.create, disk, self.filled("x")),
            )
            demand(disk.open_handles == 0, "create was refused, and left files open")
            demand(
                self.look(disk.state, "create was refused.") == held,
                "create was refused, and the store is not what it was",
            )

    def test_open_never_creates(self) -> None:
        """Where there is nothing, nothing is made: a lost store must not look like a new one."""
        empty, folder_only = SimulatedDisk(), SimulatedDisk()
        folder_only.make_folder(self.folder)
        for disk in (empty, folder_only):
            before = disk.state
            self.require_fault("open, where there is no store,", partial(self.open, disk))
            demand(disk.state == before, "open found no store, and changed the disk")
            demand(disk.open_handles == 0, "open found no store, and left files open")

    def test_only_one_process_has_the_store_open(self) -> None:
        """Two with one memory would break each other's promises."""
        disk = self.created()
        store = self.open(disk)
        before = disk.state
        self.require_fault("open, while the store is open,", lambda: self.open(disk))
        demand(disk.state == before, "open was refused, and changed the disk")
        store.save(self.filled("a"))
        store.close()
        self.require(disk.state, {self.filled("a"): "saved last"}, "Opened twice.")

    def test_a_store_is_free_again_when_its_process_is_gone(self) -> None:
        """However that went: closed, or killed with all that it had open."""
        disk = self.created()
        self.open(disk).close()
        demand(disk.open_handles == 0, "close left files open")
        self.open(disk)
        disk.kill()
        store = self.open(disk)
        store.close()
        demand(disk.open_handles == 0, "close left files open")

    def test_a_closed_store_takes_nothing(self) -> None:
        """Somebody else may have it open by now."""
        disk = self.created()
        store = self.open(disk)
        store.close()
        before = disk.state
        self.require_misuse("save, on a closed store,", lambda: store.save(self.filled("x")))
        demand(disk.state == before, "save on a closed store was refused, and changed the disk")
