"""A Ray cluster on this machine: a head that takes no fold, and two nodes for one fold each."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from medmamba_monai.cross_validation.launchers.ray import EXTRA

HAS_RAY = importlib.util.find_spec("ray") is not None
of_ray = pytest.mark.skipif(not HAS_RAY, reason=f"Ray is missing, which tests do not need: pip install '{EXTRA}'")


@contextmanager
def run_ray(folder: str) -> Iterator[Any]:
    """Run a cluster while the block runs; what its nodes run finds packages in the folder."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        made.fold_nodes = [made.add_node(num_cpus=1) for _ in range(2)]
        yield made
        made.shutdown()


def take_away(cluster: Any, node: str) -> None:
    """End the node of a fold as if it had lost its power, and add another one."""
    cluster.remove_node(next(one for one in cluster.fold_nodes if one.node_id.startswith(node)), allow_graceful=False)
    cluster.fold_nodes.append(cluster.add_node(num_cpus=1))
