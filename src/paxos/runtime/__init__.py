"""The real world: asyncio, sockets and disks around a machine.

`serve` runs a node, `decide`, `status` and `watch` talk to one, `create_store` makes its memory.
"""

from paxos.runtime import client, protocol
from paxos.runtime.client import RefusedError, UnreachableError, decide, status, watch
from paxos.runtime.cluster_file import Address, Cluster, read_cluster_file, write_cluster_file
from paxos.runtime.disk_thread import SyncHungError
from paxos.runtime.log_client import LogClient, OverloadedError, UnknownOutcomeError, log_status
from paxos.runtime.log_server import LogServer, serve_log
from paxos.runtime.server import TLS, AddressTakenError, NodeServer, StoppedError, serve
from paxos.runtime.store import create_store, inspect_store

__all__ = [
    "TLS",
    "Address",
    "AddressTakenError",
    "Cluster",
    "LogClient",
    "LogServer",
    "NodeServer",
    "OverloadedError",
    "RefusedError",
    "StoppedError",
    "SyncHungError",
    "UnknownOutcomeError",
    "UnreachableError",
    "client",
    "create_store",
    "decide",
    "inspect_store",
    "log_status",
    "protocol",
    "read_cluster_file",
    "serve",
    "serve_log",
    "status",
    "watch",
    "write_cluster_file",
]
