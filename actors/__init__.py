"""The runtime: agents that live in Ray actors, and everything an agent does."""

import os

# Ray reads these when it is imported, so they are set before any module of ours can import it.
for _name, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    # Only who knows the token can talk to the cluster's ports, which are open on every interface.
    "RAY_AUTH_MODE": "token",
    # Ray starts its workers at nice 15: under load the server would starve the agents.
    "RAY_worker_niceness": "0",
    # Neither is read by anyone here, and both cost each process threads and time.
    "RAY_enable_metrics_collection": "false",
    "RAY_task_events_report_interval_ms": "0",
}.items():
    os.environ.setdefault(_name, _value)
