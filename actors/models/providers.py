"""The model providers: where they are, and which environment variables turn them on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from storage.errors import InvalidArgument

GREENROOM = "greenroom"
"""Name of the built-in provider, whose only model is the scripted one."""
SCRIPTED = f"{GREENROOM}/scripted"


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of provider. One with an ``url`` is turned on by its key, another by its address."""

    name: str
    """First part of the handles."""
    type: str
    """The API's ``provider_type``."""
    endpoint_type: str
    """The API's ``model_endpoint_type``."""
    url: str | None
    url_variable: str | None
    key_variable: str | None

    @property
    def variable(self) -> str:
        """The environment variable that turns it on."""
        return str(self.key_variable if self.url else self.url_variable)


# fmt: off
KINDS = [
    Kind("openai", "openai", "openai",
         "https://api.openai.com/v1", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    Kind("anthropic", "anthropic", "anthropic",
         "https://api.anthropic.com/v1", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
    Kind("google_ai", "google_ai", "google_ai",
         "https://generativelanguage.googleapis.com/v1beta/openai", None, "GEMINI_API_KEY"),
    Kind("groq", "groq", "groq",
         "https://api.groq.com/openai/v1", None, "GROQ_API_KEY"),
    Kind("together", "together", "together",
         "https://api.together.xyz/v1", None, "TOGETHER_API_KEY"),
    Kind("deepseek", "deepseek", "deepseek",
         "https://api.deepseek.com/v1", None, "DEEPSEEK_API_KEY"),
    Kind("mistral", "mistral", "mistral",
         "https://api.mistral.ai/v1", None, "MISTRAL_API_KEY"),
    Kind("xai", "xai", "xai",
         "https://api.x.ai/v1", None, "XAI_API_KEY"),
    Kind("openrouter", "openrouter", "openrouter",
         "https://openrouter.ai/api/v1", None, "OPENROUTER_API_KEY"),
    Kind("ollama", "ollama", "ollama",
         None, "OLLAMA_BASE_URL", None),
    Kind("vllm", "vllm", "vllm",
         None, "VLLM_API_BASE", "VLLM_API_KEY"),
    Kind("lmstudio_openai", "lmstudio_openai", "lmstudio",
         None, "LMSTUDIO_BASE_URL", None),
    Kind("llamacpp", "openai", "llamacpp",
         None, "LLAMACPP_BASE_URL", "LLAMACPP_API_KEY"),
    Kind("openai-compatible", "openai", "openai",
         None, "OPENAI_COMPATIBLE_BASE_URL", "OPENAI_COMPATIBLE_API_KEY"),
]
# fmt: on


class Provider(BaseModel):
    """A place that serves models over the OpenAI protocol."""

    model_config = ConfigDict(frozen=True)

    name: str
    """As in the handle ``<name>/<model>``."""
    type: str
    """The API's ``provider_type``."""
    endpoint_type: str
    """The API's ``model_endpoint_type``."""
    base_url: str
    api_key: SecretStr | None = None
    variable: str | None = None
    """The environment variable that turned it on; ``None`` if it was added over REST."""
    category: Literal["base", "byok"] = "base"


def providers_from_environment(env: Mapping[str, str]) -> list[Provider]:
    """The providers that these variables configure. An empty variable counts as unset."""
    found = []
    for kind in KINDS:
        if not _get(env, kind.variable):
            continue
        key = _get(env, kind.key_variable)
        found.append(
            Provider(
                name=kind.name,
                type=kind.type,
                endpoint_type=kind.endpoint_type,
                base_url=_endpoint(kind.type, _get(env, kind.url_variable) or str(kind.url)),
                api_key=SecretStr(key) if key else None,
                variable=kind.variable,
            )
        )
    return found


def provider_from_api(name: str, provider_type: str, api_key: str, base_url: str | None = None) -> Provider:
    """A provider that a user adds.

    Raises:
        InvalidArgument: the type is not served, or needs a ``base_url``.
    """
    kind = next((kind for kind in KINDS if kind.type == provider_type), None)
    if kind is None:
        served = ", ".join(dict.fromkeys(kind.type for kind in KINDS))
        raise InvalidArgument(f"Providers of type {provider_type} are not served; one of: {served}")
    url = base_url or kind.url
    if not url:
        raise InvalidArgument(f"A provider of type {provider_type} needs a base_url")
    return Provider(
        name=name,
        type=kind.type,
        endpoint_type=kind.endpoint_type,
        base_url=_endpoint(kind.type, url),
        api_key=SecretStr(api_key) if api_key else None,
        category="byok",
    )


def _get(env: Mapping[str, str], variable: str | None) -> str:
    return env.get(variable, "").strip() if variable else ""


def _endpoint(provider_type: str, url: str) -> str:
    """The address of the OpenAI protocol. Local servers are usually given by their root."""
    url = url.rstrip("/")
    if provider_type in ("ollama", "vllm", "lmstudio_openai") and not url.endswith("/v1"):
        return f"{url}/v1"
    return url
