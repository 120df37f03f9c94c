"""The nodes that train together: from options, else from torchrun's or SLURM's variables, else this machine alone.

Order of names looked at: --nnodes, --node-rank, --master; NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT (ms-swift's own
and torchrun's scripts'); PET_NNODES ... (torchrun's, as Kubeflow sets them); GROUP_WORLD_SIZE, GROUP_RANK (inside a
torchrun process); SLURM_NNODES, SLURM_NODEID, SLURM_JOB_NODELIST.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from data.errors import ConfigError

PORT = 29500
_NAMES = {
    "nodes": ("NNODES", "PET_NNODES", "GROUP_WORLD_SIZE", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"),
    "rank": ("NODE_RANK", "PET_NODE_RANK", "GROUP_RANK", "SLURM_NODEID"),
    "master": ("MASTER_ADDR", "PET_MASTER_ADDR"),
    "port": ("MASTER_PORT", "PET_MASTER_PORT"),
}


@dataclass(frozen=True)
class Cluster:
    """``nodes`` machines with ``gpus`` each (0: processes on the CPU, one a node); this one is number ``rank``."""

    nodes: int
    gpus: int
    rank: int = 0
    master: str = ""
    port: int = PORT

    @property
    def processes(self) -> int:
        """Of one node."""
        return max(1, self.gpus)

    @property
    def world_size(self) -> int:
        return self.nodes * self.processes


def find_cluster(
    nodes: int, gpus: int, env: Mapping[str, str], *, nnodes: int | None, node_rank: int | None, master: str
) -> Cluster:
    """Options over environment over the recipe's own ``nodes`` and ``gpus``. Raises ConfigError when one is missing."""
    count = nnodes or _number(env, "nodes") or 1
    if nodes > 1 and count == 1 and nnodes is None:
        raise ConfigError(
            f"this recipe is for {nodes} nodes: run it on each with --nnodes {nodes} --node-rank R --master HOST, "
            "where R counts from 0 and HOST is node 0 (or start it by torchrun or SLURM, whose variables are read)"
        )
    if count == 1:
        return Cluster(1, gpus)
    host, port = _master(master, env)
    rank = node_rank if node_rank is not None else _number(env, "rank")
    if rank is None or not host:
        missing = "--node-rank R (0 on the first node)" if rank is None else "--master HOST (the first node)"
        raise ConfigError(f"training on {count} nodes needs {missing} as well")
    if not 0 <= rank < count:
        raise ConfigError(f"--node-rank {rank} does not fit {count} nodes; they count from 0 to {count - 1}")
    return Cluster(count, gpus, rank, host, port)


def _number(env: Mapping[str, str], what: str) -> int | None:
    for name in _NAMES[what]:
        if env.get(name):
            first = env[name].split(":")[0]  # torchrun's elastic "1:4"
            if not first.isdigit():
                raise ConfigError(f"{name}={env[name]} is no number; unset it, or give the option instead")
            return int(first)
    return None


def _master(given: str, env: Mapping[str, str]) -> tuple[str, int]:
    host, colon, port = given.rpartition(":") if re.search(r":\d+$", given) else (given, "", "")
    if given and not colon and ":" in given and not given.startswith("["):
        raise ConfigError(f"--master {given} is not understood; write HOST or HOST:PORT")
    for name in _NAMES["master"] if not host else ():
        host = host or env.get(name, "")
    host = host or first_host(env.get("SLURM_JOB_NODELIST", ""))
    number = int(port) if port else _number(env, "port") or PORT
    if not 0 < number < 65536:
        raise ConfigError(f"{number} is no port; write --master HOST:PORT with a port from 1 to 65535")
    return host, number


def first_host(nodelist: str) -> str:
    """The first of SLURM's list: "gpu[03-05,9],login" -> "gpu03"."""
    head = re.match(r"([^,\[]+)(?:\[([^\],-]+)[^\]]*\])?([^,\[]*)", nodelist)
    return "".join(part or "" for part in head.groups()) if head else ""
