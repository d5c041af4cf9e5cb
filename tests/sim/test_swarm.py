"""What a seed draws: always the same, within what was asked for, no more than can be survived."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from paxos import MisuseError
from paxos.scenario.cluster import Kind
from paxos.scenario.commands import Ending
from paxos.sim.faults import ALL_FAULTS, Fault, format_faults, parse_faults
from paxos.sim.swarm import MOST_WRITES, Unwell, Wish, draw_plan

SEEDS = range(400)


def test_the_same_seed_draws_the_same_plan() -> None:
    for seed in range(20):
        assert draw_plan(seed, Wish()) == draw_plan(seed, Wish())


def test_seeds_draw_different_plans() -> None:
    drawn = {(plan.cluster.members, plan.lasts) for plan in (draw_plan(s, Wish()) for s in SEEDS)}
    assert len(drawn) > 300


def test_a_wish_bounds_the_number_of_members() -> None:
    sizes = {len(draw_plan(seed, Wish(2, 4)).cluster.members) for seed in SEEDS}
    assert sizes == {2, 3, 4}


@pytest.mark.parametrize("kind", list(Kind))
def test_a_wish_says_which_kind_of_node(kind: Kind) -> None:
    assert {draw_plan(seed, Wish(kind=kind)).cluster.kind for seed in range(30)} == {kind}


def test_without_a_wish_both_kinds_of_node_are_drawn() -> None:
    assert {draw_plan(seed, Wish()).cluster.kind for seed in SEEDS} == set(Kind)


def test_only_the_faults_that_are_wished_for_are_drawn() -> None:
    wish = Wish(faults=(Fault.LOSS, Fault.KILL))
    drawn = {fault for seed in SEEDS for fault in draw_plan(seed, wish).faults}
    assert drawn == {Fault.LOSS, Fault.KILL}


def test_every_kind_of_fault_is_drawn_by_some_and_left_out_by_some() -> None:
    kinds = [set(draw_plan(seed, Wish()).faults) for seed in SEEDS]
    for fault in ALL_FAULTS:
        assert any(fault in drawn for drawn in kinds)
        assert any(fault not in drawn for drawn in kinds)


def test_all_strikes_are_of_the_kinds_that_were_drawn() -> None:
    for seed in SEEDS:
        plan = draw_plan(seed, Wish())
        assert {strike.fault for strike in plan.strikes} <= set(plan.faults)
        assert {spell.cut for spell in plan.spells} - {None} <= set(plan.faults)


def test_crashes_in_openings_change_nothing_else_that_a_seed_draws() -> None:
    others = tuple(fault for fault in ALL_FAULTS if fault is not Fault.OPENING)
    for seed in SEEDS:
        plan, without = draw_plan(seed, Wish()), draw_plan(seed, Wish(faults=others))
        strikes = tuple(strike for strike in plan.strikes if strike.fault is not Fault.OPENING)
        faults = tuple(fault for fault in plan.faults if fault is not Fault.OPENING)
        assert replace(plan, strikes=strikes, faults=faults) == without


def test_a_crash_may_fall_into_any_write_of_an_opening_and_end_in_any_way() -> None:
    strikes = [strike for seed in SEEDS for strike in draw_plan(seed, Wish()).strikes]
    drawn = {(each.write, each.ending) for each in strikes if each.fault is Fault.OPENING}
    assert drawn == set(product(range(1, MOST_WRITES + 1), Ending))


def test_those_who_are_healed_contain_quorums_of_both_phases() -> None:
    for seed in SEEDS:
        plan = draw_plan(seed, Wish())
        quorums = plan.cluster.real_quorums
        assert quorums.has_phase1(plan.healed)
        assert quorums.has_phase2(plan.healed)


def test_whose_disk_rots_is_down_for_good() -> None:
    rotten = 0
    for seed in SEEDS:
        plan = draw_plan(seed, Wish())
        victims = {strike.node for strike in plan.strikes if strike.fault is Fault.ROT}
        assert all(dict(plan.unwell)[node] is Unwell.DOWN for node in victims)
        rotten += len(victims)
    assert rotten


def test_whoever_is_not_healed_is_unwell() -> None:
    for seed in SEEDS:
        plan = draw_plan(seed, Wish())
        assert {*plan.healed, *dict(plan.unwell)} == set(plan.cluster.node_ids)


def test_quorums_of_different_sizes_are_drawn() -> None:
    assert {draw_plan(seed, Wish()).cluster.phase1 for seed in SEEDS} > {None, 1, 2}


@pytest.mark.parametrize("bad", [(0, 3), (4, 3), (1, 100)])
def test_impossible_numbers_of_nodes_are_refused(bad: tuple[int, int]) -> None:
    with pytest.raises(MisuseError, match="ask for 1 to 15 nodes"):
        Wish(*bad)


@pytest.mark.parametrize("text", ["all", "none", "loss", "loss,kill,rot"])
def test_a_list_of_faults_is_read_and_written(text: str) -> None:
    assert format_faults(parse_faults(text)) == text


def test_an_unknown_fault_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(MisuseError, match="there is no fault 'fire': all, none, or some of late"):
        parse_faults("loss,fire")


def test_each_kind_of_fault_has_a_sentence() -> None:
    assert all(fault.what.endswith(".") for fault in Fault)
