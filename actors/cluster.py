"""The Ray cluster under a fleet: one of our own, or one that is running already."""

import hashlib
import logging
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

OBJECT_STORE_BYTES = 80 * 2**20


def start(address: str | None, data: Path) -> None:
    """Join the cluster at ``address``, or start one that lives and dies with this process.

    The cluster of our own keeps its files in a directory of the system's temporary one, named
    after the data directory, so that what a killed server left there is cleared by the next one.
    """
    if address:
        ray.init(address=address, namespace=_name(data), log_to_driver=False, logging_level=logging.ERROR)
        return
    shutil.rmtree(session_directory(data), ignore_errors=True)
    # Never written to a file. Ray reads it once in a process, so it lives as long as that does.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray.init(
        namespace=_name(data),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(session_directory(data)),
    )


def stop(data: Path) -> None:
    """Leave the cluster; one of our own ends with it."""
    ray.shutdown()
    shutil.rmtree(session_directory(data), ignore_errors=True)


def session_directory(data: Path) -> Path:
    """Where a cluster of our own keeps its files while it runs."""
    return Path(tempfile.gettempdir()) / _name(data)


def _name(data: Path) -> str:
    # Short, because Ray makes Unix sockets below the directory and their paths end at 107 bytes.
    return "greenroom-" + hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:8]


def actor(kind: type, **options: Any) -> Any:
    """A class as an actor class with what all our actors have in common: Ray starts them again when
    they die, and never repeats a call by itself, because a repeated call could be out of order."""
    common = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0, "max_concurrency": 10_000}
    remote: Any = ray.remote
    return remote(enable_task_events=False, **common, **options)(kind)


def here() -> NodeAffinitySchedulingStrategy:
    """Places an actor on this process's node: where the store's files are."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def kill(actor: Any) -> None:
    ray.kill(actor, no_restart=True)
