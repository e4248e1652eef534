"""``python -m benchmarks``: measure a server and write down what came out."""

import asyncio
import math
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import uvloop

from benchmarks import report
from benchmarks.bench import FULL, QUICK, Bench, Plan
from benchmarks.dedicated import measure_dedicated
from benchmarks.facts import facts
from benchmarks.fleet import measure_fleet
from benchmarks.load import RequestFailed
from benchmarks.memory import measure_memory
from benchmarks.messages import measure_messages, measure_streams
from benchmarks.results import Results
from benchmarks.server import DidNotStart

SCENARIOS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "messages": measure_messages,
    "streams": measure_streams,
    "fleet": measure_fleet,
    "memory": measure_memory,
    "dedicated": measure_dedicated,
}
INTERRUPTED = 130
RESULTS = Path(__file__).parent / "results"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenarios", nargs=-1, type=click.Choice([*SCENARIOS]), metavar="[SCENARIO]...")
@click.option("--quick", is_flag=True, help="Small numbers, once, in a few minutes: to see that it works.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=RESULTS,
    help="Directory for server.json, .md and .svg (-quick.* with --quick).  [default: benchmarks/results]",
)
@click.option(
    "--temporary",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(tempfile.gettempdir()),
    help="Directory for the servers' data; best on the disk that a server would use.",
)
def main(scenarios: tuple[str, ...], quick: bool, out: Path, temporary: Path) -> None:
    """Measure a real `greenroom serve` from outside, with the scripted model behind HTTP.

    \b
    messages    messages/s and latency at 1 to 512 agents at once, model latency 0 and 500 ms
    streams     time to the first token
    fleet       create, memory, retrieve, list, and waking agents, with up to 10,000 of them
    memory      agents with long histories, searches, a block shared by 1,000 agents
    dedicated   agents_per_actor=1 beside the default

    Without a SCENARIO, all of them. Everything that is started is ended, also on Ctrl-C.
    """
    chosen = [name for name in SCENARIOS if name in scenarios or not scenarios]
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(_measure(QUICK if quick else FULL, chosen, temporary))
    except asyncio.CancelledError:
        click.echo("Interrupted: everything was ended, nothing was written", err=True)
        sys.exit(INTERRUPTED)
    click.echo(report.markdown(results))
    for path in report.write(results, out, "server-quick" if quick else "server"):
        click.echo(f"Written: {path}", err=True)
    sys.exit(1 if results.failures else 0)


async def _measure(plan: Plan, chosen: list[str], temporary: Path) -> Results:
    task = asyncio.current_task()
    assert task
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    began = time.monotonic()

    def say(line: str) -> None:
        minutes, seconds = divmod(math.floor(time.monotonic() - began), 60)
        click.echo(f"[{minutes:2}:{seconds:02}] {line}", err=True)

    async with Bench(plan, temporary, say) as bench:
        bench.results.facts = facts(temporary)
        for name in chosen:
            try:
                await SCENARIOS[name](bench)
            except (RequestFailed, DidNotStart, TimeoutError) as error:
                say(f"{name} failed, {type(error).__name__}: {error}")
                bench.results.failures[name] = f"{error}".strip().rpartition("\n")[2] or type(error).__name__
        say("Stopping")
        return bench.results


if __name__ == "__main__":
    main()
