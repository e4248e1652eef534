"""What is known about well-known models, for providers whose lists do not tell."""

import re

CONTEXT_WINDOW = 32_768
"""Of a model that nothing is known about."""

# The first pattern that is found in the model's name counts.
_CONTEXT_WINDOWS = [
    (r"gpt-5.*chat", 128_000),
    (r"gpt-5", 400_000),
    (r"gpt-4\.1", 1_047_576),
    (r"gpt-4o|gpt-4-turbo|gpt-4\.5|chatgpt-4o", 128_000),
    (r"gpt-4", 8_192),
    (r"gpt-3\.5", 16_385),
    (r"^(?:openai/)?o1-(?:mini|preview)", 128_000),
    (r"^(?:openai/)?o[1-9]", 200_000),
    (r"gpt-oss", 131_072),
    (r"claude", 200_000),
    (r"gemini", 1_048_576),
    (r"gemma-?3", 131_072),
    (r"grok-4", 256_000),
    (r"grok", 131_072),
    (r"deepseek", 131_072),
    (r"codestral", 256_000),
    (r"mistral|ministral|magistral|devstral|pixtral", 131_072),
    (r"llama-?4", 1_048_576),
    (r"llama-?3\.[123]", 131_072),
    (r"llama-?3", 8_192),
    (r"qwen-?3", 131_072),
    (r"qwen", 32_768),
    (r"kimi-k2", 262_144),
    (r"glm-4", 131_072),
]
_EMBEDDING_DIMS = [
    (r"text-embedding-3-large", 3072),
    (r"text-embedding-(?:3-small|ada)", 1536),
    (r"gemini-embedding", 3072),
    (r"text-embedding-00[45]", 768),
    (r"mistral-embed", 1024),
    (r"codestral-embed", 1536),
    (r"nomic-embed", 768),
    (r"mxbai-embed-large|bge-m3|bge-large|e5-large", 1024),
    (r"bge-base|e5-base|gte-base", 768),
    (r"all-minilm|bge-small|e5-small", 384),
]
_EMBEDDING = re.compile(r"(?i)embed|\bbge-|minilm|\be5-|\bgte-")
_NO_LANGUAGE_MODEL = re.compile(
    r"(?i)whisper|tts|dall-e|image|moderation|realtime|transcribe|audio|sora|rerank|guard|ocr|imagen|veo"
    r"|babbage|davinci|instruct-0914|deep-research|computer-use|\baqa\b|codex-mini"
)


def context_window(model: str) -> int:
    """Tokens of the model's context window, as far as it is known."""
    name = model.lower()
    return next((size for part, size in _CONTEXT_WINDOWS if re.search(part, name)), CONTEXT_WINDOW)


def embedding_dim(model: str) -> int | None:
    """Numbers in the model's vectors, or ``None`` when that is not known."""
    name = model.lower()
    return next((size for part, size in _EMBEDDING_DIMS if re.search(part, name)), None)


def is_embedding(model: str) -> bool:
    return bool(_EMBEDDING.search(model))


def is_language_model(model: str) -> bool:
    return not (_EMBEDDING.search(model) or _NO_LANGUAGE_MODEL.search(model))
