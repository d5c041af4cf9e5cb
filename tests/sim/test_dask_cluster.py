"""The same campaign on a Dask cluster: a real scheduler and two real workers, on loopback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from paxos import FaultError, MisuseError
from paxos.cli import main
from paxos.sim import dask_cluster
from paxos.sim.campaign import local_workers, run_campaign
from paxos.sim.swarm import Wish

needs_dask = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import distributed"], check=False, capture_output=True)
    .returncode != 0,
    reason="Dask is not installed: pip install 'plain-paxos[dask]'",
)  # fmt: skip

PATIENCE = 45.0
"""Seconds until a process must have ended that was told to."""


def address_told_by(scheduler: subprocess.Popen[str]) -> str:
    """The address at which it listens: it writes that into its log."""
    assert scheduler.stderr is not None
    for line in scheduler.stderr:
        found = re.search(r"Scheduler at:\s+(tcp://\S+)", line)
        if found is not None:
            return found[1]
    raise AssertionError("the Dask scheduler does not start")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dask")
    with ExitStack() as stack:

        def start(module: str, *arguments: str, log: int) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
                    cwd=folder,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    text=True,
                )
            )
            stack.callback(process.wait, PATIENCE)
            stack.callback(process.terminate)
            return process

        scheduler = start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            log=subprocess.PIPE,
        )  # fmt: skip
        found = address_told_by(scheduler)
        for _ in range(2):
            start(
                "dask_worker", found, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny",
                "--no-dashboard", "--memory-limit", "0", "--death-timeout", "30",
                "--local-directory", str(folder), log=subprocess.DEVNULL,
            )  # fmt: skip
        yield found


@needs_dask
@pytest.mark.timeout(180)
def test_a_campaign_on_dask_gives_the_same_summary(address: str) -> None:
    with dask_cluster.dask_workers(address) as (executor, parallel):
        there = run_campaign(Wish(), range(100), executor, parallel=parallel)
    with local_workers(1) as (executor, parallel):
        here = run_campaign(Wish(), range(100), executor, parallel=parallel)
    assert there == here
    assert there.runs == 100


@needs_dask
@pytest.mark.timeout(180)
def test_the_command_runs_on_dask(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--seeds", "50", "--dask", address, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["runs"] == 50
    assert 1 <= said["workers"] <= 2


@needs_dask
@pytest.mark.timeout(120)
def test_where_no_scheduler_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "PATIENCE", 0.3)
    with (
        pytest.raises(FaultError, match=r"no Dask scheduler answers at tcp://127.0.0.1:1"),
        dask_cluster.dask_workers("tcp://127.0.0.1:1"),
    ):
        pass


def test_without_dask_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(MisuseError, match=r"pip install 'plain-paxos\[dask\]'"),
        dask_cluster.dask_workers("tcp://127.0.0.1:1"),
    ):
        pass
