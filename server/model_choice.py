"""Which model an agent gets, and with which settings."""

from server.routing import Server
from server.wire.agent_requests import AgentFields, CreateAgent, UpdateAgent
from server.wire.archives import CreateArchive
from server.wire.common import Object
from server.wire.model_settings import merge_settings
from storage.errors import InvalidArgument
from storage.records import LlmConfig

LONGEST_ANSWERS = dict.fromkeys(("gpt-4o", "gpt-4.1", "gpt-5", "chatgpt-4o", "o1", "o3", "o4"), 16_384)
"""Tokens that OpenAI's models may answer with unless the client says so, by the beginning of the name."""
CHUNK_SIZE = 300


async def choose_model(server: Server, body: CreateAgent) -> LlmConfig:
    """The model of a new agent.

    Raises:
        InvalidArgument: no model is named and the server has no default, or the settings are contradictory.
        NotFound: there is no such model.
    """
    base = await _named_model(server, body)
    if base is None:
        handle = server.settings.default_model
        if handle is None:
            handles = [model.handle for model in await server.catalog.list_models()]
            raise InvalidArgument(
                "Must specify either model or llm_config in request. "
                f"Handles that work here: {', '.join(handles[:20])}"
            )
        base = await find_model(server, handle)
    return _tuned(base, body)


async def find_model(server: Server, handle: str) -> LlmConfig:
    """The model of this handle, with the defaults of an agent that uses it. Raises NotFound."""
    return _with_defaults(await server.catalog.resolve(handle))


async def change_model(server: Server, current: LlmConfig, body: UpdateAgent) -> LlmConfig:
    """The model of an agent after an update; the same object when nothing about it changes.

    Raises:
        InvalidArgument: the settings are contradictory.
        NotFound: there is no such model.
    """
    return _tuned(await _named_model(server, body) or current, body)


async def choose_summarizer(server: Server, body: AgentFields) -> LlmConfig | None:
    """The model that a request wants older messages to be summarised with, if it names one.

    Raises:
        NotFound: there is no such model.
    """
    settings = body.compaction_settings
    return await server.catalog.resolve(settings.model) if settings and settings.model else None


async def choose_embedding(
    server: Server, body: AgentFields | CreateArchive, chunk_size: int | None = None
) -> Object | None:
    """The embedding configuration that a request names, if it names one.

    Raises:
        InvalidArgument: there is no such embedding model.
    """
    handle = body.embedding
    if body.embedding_config:
        handle = body.embedding_config.resolved_handle
        chunk_size = body.embedding_config.embedding_chunk_size or chunk_size
    if handle is None:
        return None
    config = await server.catalog.resolve_embedding(handle)
    return config | {"embedding_chunk_size": chunk_size or CHUNK_SIZE}


async def _named_model(server: Server, body: AgentFields) -> LlmConfig | None:
    if body.llm_config:
        config = await server.catalog.resolve(body.llm_config.resolved_handle)
        return config.model_copy(update=body.llm_config.tuning())
    if body.model:
        return await find_model(server, body.model)
    return None


def _with_defaults(config: LlmConfig) -> LlmConfig:
    changes: Object = {"parallel_tool_calls": True}
    if config.provider_name == "openai" and config.max_tokens is None:
        changes["max_tokens"] = next(
            (tokens for name, tokens in LONGEST_ANSWERS.items() if config.model.startswith(name)), None
        )
    return config.model_copy(update=changes)


def _tuned(config: LlmConfig, body: AgentFields) -> LlmConfig:
    """A model's configuration with the settings of a request, and with its older single fields."""
    if body.model_settings:
        config = merge_settings(config, body.model_settings)
    older: Object = {
        "context_window": body.context_window_limit,
        "parallel_tool_calls": body.parallel_tool_calls,
        "response_format": body.response_format.model_dump() if body.response_format else None,
        "enable_reasoner": body.reasoning,
    }
    if isinstance(body, CreateAgent):
        older["max_reasoning_tokens"] = body.max_reasoning_tokens
        if body.enable_reasoner is not None:
            older["enable_reasoner"] = body.enable_reasoner
    changes = {name: value for name, value in older.items() if value is not None}
    if "max_tokens" in body.model_fields_set:
        changes["max_tokens"] = body.max_tokens
    if not changes:
        return config
    config = config.model_copy(update=changes)
    if config.max_tokens is not None and config.max_reasoning_tokens >= config.max_tokens:
        raise InvalidArgument("max_reasoning_tokens must be less than max_tokens")
    return config
