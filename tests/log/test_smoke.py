from log.log_world import LogWorld, read_slots
import pytest
from paxos.log.entries import Commands

def commands(entries):
    return [c for e in entries if isinstance(e, Commands) for c in e.commands]

def test_three_nodes_choose_a_log_together():
    world = LogWorld()
    assert world.run(10, until=lambda: world.leader is not None)
    for n in range(40):
        world.append(world.leader, f"c{n}")
        world.run(0.3)
    world.run(5)
    for node in "ABC":
        assert commands(world.applied[node]) == [f"c{n}" for n in range(40)]

@pytest.mark.parametrize("seed", range(60))
def test_random(seed):
    world = LogWorld("ABC" if seed % 3 else "ABCDE", seed=seed, loss=0.05, repeats=0.05)
    n = 0
    reads = {}
    for turn in range(60):
        r = world.random
        for node in list(world.servers):
            if r.random() < 0.05 and world.servers[node].machine:
                world.crash(node)
                world.after(r.uniform(0.0, 1.5), lambda node=node: world.servers[node].machine is None and world.start(node))
            elif world.servers[node].machine and r.random() < 0.5:
                for _ in range(r.randint(1, 6)):
                    n += 1
                    world.append(node, f"c{n}")
                reads[n * 100 + turn] = max(map(len, world.applied.values()))
                world.read(node, n * 100 + turn)
        if r.random() < 0.1:
            world.cut(*r.sample(sorted(world.servers), 2))
        if r.random() < 0.1:
            world.cut_links.clear()
        world.run(r.uniform(0.1, 1.0))
    for number, slot in read_slots(world).items():
        assert slot >= reads[number]
    world.cut_links.clear(); world.loss = 0
    for node in world.servers:
        if world.servers[node].machine is None: world.start(node)
    def together():
        return len({len(a) for a in world.applied.values()}) == 1 and world.leader
    world.run(10)
    world.append(world.leader, "last")
    assert world.run(20, until=lambda: all("last" in commands(a) for a in world.applied.values())), {n: (len(a), world.log(n).chosen_below) for n, a in world.applied.items()}
    assert len(read_slots(world)) > 3
