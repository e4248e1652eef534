from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.shard import Shard
from tests.storage.made import open_shard


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    opened = open_shard(tmp_path)
    yield opened
    opened.close()
