"""The Ray cluster under a fleet: one of our own, or one that is running already."""

import hashlib
import logging
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    # Ray starts its workers at nice 15: under load the server would starve the agents.
    "RAY_worker_niceness": "0",
    # Neither is read by anyone here, and both cost each process threads and time.
    "RAY_enable_metrics_collection": "false",
    "RAY_task_events_report_interval_ms": "0",
}
OBJECT_STORE_BYTES = 80 * 2**20

# Ray reads these when it is imported, so they are set before.
for _name, _value in ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402


def start(address: str | None, data: Path) -> None:
    """Join the cluster at ``address``, or start one that lives and dies with this process.

    The cluster of our own keeps its files in a directory of the system's temporary one, named
    after the data directory, so that what a killed server left there is cleared by the next one.
    """
    if address:
        ray.init(address=address, namespace="greenroom", log_to_driver=False, logging_level=logging.ERROR)
        return
    shutil.rmtree(session_directory(data), ignore_errors=True)
    # Only who knows the token can talk to the cluster's ports. It is never written to a file.
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    ray.init(
        namespace="greenroom",
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
    # Short, because Ray makes Unix sockets below it and their paths end at 107 bytes.
    name = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"greenroom-{name}"


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
