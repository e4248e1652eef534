"""How a fleet is run. The server's settings extend these; their texts are the ``--help``."""

import os
from pathlib import Path

from pydantic import BaseModel, Field


class Options(BaseModel):
    data: Path = Field(Path("~/.greenroom"), description="Directory of the store.")
    shards: int = Field(
        max(1, (os.cpu_count() or 2) // 2),
        ge=1,
        le=256,
        description="Shards of the store, each with one writer process. Fixed when a store is created.",
    )
    hosts: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Processes that agents live in. Default: half the cores; "
        "with agents_per_actor 1 at most 64, started as they are needed.",
    )
    agents_per_actor: int = Field(
        20_000,
        ge=1,
        description="Agents in memory per host process. 1 gives every agent a Ray actor of its own.",
    )
    host_memory_mb: int = Field(
        4096, ge=256, description="Memory of a host process above which idle agents hibernate."
    )
    idle_seconds: float = Field(300, gt=0, description="An agent idle for this long hibernates.")
    mailbox: int = Field(100, ge=1, description="Messages that may wait for one agent; more get 429.")
    in_flight: int = Field(5_000, ge=1, description="Requests in progress at once; more get 429.")
    model_calls: int = Field(256, ge=1, description="Calls in flight per model provider and host.")
    model_timeout: float = Field(120, gt=0, description="Seconds one model call may take.")
    model_retries: int = Field(
        2, ge=0, description="Further tries of a model call after 429, 5xx or a connection error."
    )
    drain_seconds: float = Field(
        10, ge=0, description="On shutdown, how long running steps may take to finish."
    )
    ray_address: str | None = Field(
        None, description="A running Ray cluster to join; without it the server starts its own."
    )
    default_embedding: str | None = Field(
        None, description="Handle of the embedding model for agents without their own."
    )
    scripted_latency_ms: float = Field(
        0, ge=0, description="Time the built-in scripted model takes for an answer."
    )
    scripted_tokens_per_second: float = Field(
        0, ge=0, description="Speed at which it streams; 0 is as fast as it can."
    )
