"""``greenroom/scripted``: a deterministic, offline stand-in for a model. It is no language model:
it follows the fixed rules in :mod:`~actors.models.scripted.rules`."""

from actors.models.scripted.embedding import EMBEDDING_DIM, embed
from actors.models.scripted.playback import play
from actors.models.scripted.respond import respond

__all__ = ["EMBEDDING_DIM", "embed", "play", "respond"]
