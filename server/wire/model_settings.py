"""Model settings: what a request may say about a model, and what an agent's settings look like.

Internally there is one object, ``LlmConfig``. The API shows it twice: as it is, and as
``model_settings``, whose shape depends on the provider.
"""

from typing import Any, Literal

from pydantic import Field

from server.wire.common import Body, Key, Object, Short
from storage.records import LlmConfig

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]
Verbosity = Literal["low", "medium", "high"]

SETTINGS_TYPES = (
    "azure",
    "baseten",
    "bedrock",
    "chatgpt_oauth",
    "deepseek",
    "groq",
    "moonshot",
    "moonshot_coding",
    "openrouter",
    "together",
    "xai",
    "zai",
)
"""Provider types with plain settings. OpenAI's, Anthropic's and Google's are richer; a provider that
the API has no settings of its own for speaks OpenAI's protocol and has OpenAI's."""


class TextFormat(Body):
    type: Literal["text"] = "text"


class JsonSchemaFormat(Body):
    type: Literal["json_schema"] = "json_schema"
    json_schema: Object


class JsonObjectFormat(Body):
    type: Literal["json_object"] = "json_object"


ResponseFormat = TextFormat | JsonSchemaFormat | JsonObjectFormat


class Reasoning(Body):
    reasoning_effort: ReasoningEffort = "minimal"


class Thinking(Body):
    type: Literal["enabled", "disabled"] = "enabled"
    budget_tokens: int = Field(1024, ge=0, le=10_000_000)


class ThinkingConfig(Body):
    include_thoughts: bool = True
    thinking_budget: int = Field(1024, ge=0, le=10_000_000)


class ModelSettings(Body):
    """Settings of any provider; each uses what it knows."""

    provider_type: Short | None = None
    max_output_tokens: int | None = Field(None, ge=1, le=10_000_000)
    parallel_tool_calls: bool = True
    temperature: float = Field(1.0, ge=0, le=2)
    response_format: ResponseFormat | None = Field(None, discriminator="type")
    response_schema: ResponseFormat | None = Field(None, discriminator="type")
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    thinking_config: ThinkingConfig | None = None
    strict: bool = False
    verbosity: Verbosity | None = None
    effort: Effort | None = None
    tool_call_parser: Short | None = None


class LlmConfigInput(Body):
    """An older way to choose a model. The endpoint and its key always come from the provider."""

    model: Key
    model_endpoint_type: Short | None = None
    handle: Key | None = None
    provider_name: Key | None = None
    context_window: int | None = Field(None, ge=1, le=100_000_000)
    display_name: Short | None = None
    put_inner_thoughts_in_kwargs: bool = False
    temperature: float = Field(1.0, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    enable_reasoner: bool = True
    reasoning_effort: ReasoningEffort | None = None
    max_reasoning_tokens: int = Field(0, ge=0, le=10_000_000)
    effort: Effort | None = None
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    verbosity: Verbosity | None = None
    parallel_tool_calls: bool = False
    response_format: ResponseFormat | None = Field(None, discriminator="type")
    strict: bool = False
    tool_call_parser: Short | None = None

    @property
    def resolved_handle(self) -> str:
        return self.handle or f"{self.provider_name or self.model_endpoint_type or 'openai'}/{self.model}"

    def tuning(self) -> Object:
        """What it changes in the configuration that the handle stands for."""
        return {
            key: value
            for key, value in self.given().items()
            if key not in ("model", "model_endpoint_type", "handle", "provider_name")
        }


def merge_settings(config: LlmConfig, settings: ModelSettings) -> LlmConfig:
    """A model's configuration under new settings. What the settings leave out goes back to its
    default, but the length of an answer changes only when it is given."""
    response_format = settings.response_format or settings.response_schema
    changes: Object = {
        "temperature": settings.temperature,
        "parallel_tool_calls": settings.parallel_tool_calls,
        "response_format": response_format.model_dump() if response_format else None,
        "strict": settings.strict,
        "verbosity": settings.verbosity,
        "effort": settings.effort,
        "tool_call_parser": settings.tool_call_parser,
    }
    if settings.max_output_tokens is not None:
        changes["max_tokens"] = settings.max_output_tokens
    if settings.reasoning:
        effort = settings.reasoning.reasoning_effort
        changes |= {"reasoning_effort": effort, "enable_reasoner": effort != "none"}
    if settings.thinking:
        changes |= {
            "enable_reasoner": settings.thinking.type == "enabled",
            "max_reasoning_tokens": settings.thinking.budget_tokens,
        }
    if settings.thinking_config:
        changes |= {
            "enable_reasoner": settings.thinking_config.include_thoughts,
            "max_reasoning_tokens": settings.thinking_config.thinking_budget,
        }
    return config.model_copy(update=changes)


def model_settings(config: LlmConfig) -> dict[str, Any]:
    """An agent's ``model_settings`` as the API shows them."""
    kind = config.model_endpoint_type
    settings: dict[str, Any] = {
        "provider_type": kind,
        "max_output_tokens": config.max_tokens or 4096,
        "parallel_tool_calls": config.parallel_tool_calls,
        "temperature": config.temperature,
    }
    if kind == "anthropic":
        return settings | {
            "thinking": {
                "type": "enabled" if config.enable_reasoner else "disabled",
                "budget_tokens": config.max_reasoning_tokens or 1024,
            },
            "verbosity": config.verbosity,
            "effort": config.effort,
            "strict": config.strict,
            "response_format": config.response_format,
        }
    if kind in ("google_ai", "google_vertex"):
        return settings | {
            "max_output_tokens": config.max_tokens or 65536,
            "thinking_config": {
                "include_thoughts": config.enable_reasoner,
                "thinking_budget": config.max_reasoning_tokens or 1024,
            },
            "response_schema": config.response_format,
        }
    settings["response_format"] = config.response_format
    if kind in SETTINGS_TYPES:
        return settings
    return settings | {
        "provider_type": "openai",
        "reasoning": {"reasoning_effort": config.reasoning_effort or "minimal"},
        "strict": config.strict,
    }
