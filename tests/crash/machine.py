"""A server that is killed and started again, as on a machine of its own."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.running import Running, start, wait_until_ready


@dataclass
class Machine:
    """A data directory, a port, and a server that is started on them again and again."""

    directory: Path
    tmp: Path
    port: int
    env: dict[str, str]
    starts: int = 0
    server: Running | None = None

    def command(self) -> list[str]:
        options = {"--data": str(self.directory / "data"), "--port": str(self.port)}
        options |= {"--shards": "2", "--hosts": "2", "--model-retries": "0", "--drain-seconds": "3"}
        return ["serve", *(part for option in options.items() for part in option)]

    async def start(self) -> Running:
        self.starts += 1
        log = self.directory / f"log-{self.starts}"
        process = start(*self.command(), log=log, env=self.env, tmp=self.tmp)
        self.server = Running(f"http://127.0.0.1:{self.port}", process, log, self.tmp)
        await asyncio.to_thread(wait_until_ready, process, log)
        return self.server

    async def running(self) -> Running:
        if self.server is None or self.server.process.poll() is not None:
            return await self.start()
        return self.server
