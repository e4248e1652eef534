"""``greenroom doctor``: looks at everything the server stands on, and says how to mend it."""

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from actors.models import Catalog, providers_from_environment
from actors.models.providers import KINDS
from server.data_directory import DirectoryLock, Holder, holder_of, shard_files
from server.serve import bind
from server.settings import Settings
from server.version import VERSION
from storage.errors import GreenroomError
from storage.shard import Shard

LOW_SPACE = 2**30
RAY_SECONDS = 120
RAY_TRIAL = "import sys; from server.doctor import try_ray; try_ray(sys.argv[1] or None)"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``mend`` says what to do where something is wrong."""

    subject: str
    text: str
    mend: str = ""
    wrong: bool = False


def examine(settings: Settings, *, repair: bool, say: Callable[[str], None]) -> bool:
    """Check everything and tell what was found.

    Args:
        repair: mend shards whose write-ahead log is damaged.
        say: is given the report, a line at a time.

    Returns:
        whether all is well.
    """
    holder = holder_of(settings.data)
    healthy = True
    for check in (
        _platform(),
        _directory(settings.data, holder),
        _shards(settings.data, holder, repair=repair),
        _port(settings, holder),
        _ray(settings.ray_address),
        _providers(),
    ):
        for finding in check:
            healthy = healthy and not finding.wrong
            say(f"{'wrong' if finding.wrong else 'ok':<6} {finding.subject:<14} {finding.text}")
            if finding.mend:
                say(f"{'':<21} -> {finding.mend}")
    say("All is well." if healthy else "Something is wrong; the lines with -> say how to mend it.")
    return healthy


def _platform() -> Iterator[Finding]:
    cores, memory = os.cpu_count(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield Finding(
        "greenroom",
        f"{VERSION}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{cores} cores, {memory / 2**30:.1f} GiB of memory",
    )


def _directory(data: Path, holder: Holder | None) -> Iterator[Finding]:
    if holder:
        yield Finding("data", f"{data} is in use by {holder}")
    else:
        try:
            with DirectoryLock(data):
                yield Finding("data", f"{data} can be written, no server has it")
        except GreenroomError as error:
            yield Finding("data", error.message, "Choose another directory with --data.", wrong=True)
            return
    free = shutil.disk_usage(data).free
    text = f"{free / 2**30:.1f} GiB free on the disk of {data}"
    if free < LOW_SPACE:
        yield Finding("disk", text, "Make room before the store cannot be written any more.", wrong=True)
    else:
        yield Finding("disk", text)


def _shards(data: Path, holder: Holder | None, *, repair: bool) -> Iterator[Finding]:
    files = shard_files(data)
    if not files:
        yield Finding("store", "is empty; the first start of the server makes it")
    elif holder:
        yield Finding("store", f"{len(files)} shards; stop the server to have them checked")
    else:
        for index, path in enumerate(files):
            try:
                Shard.open(path, index=index, shards=len(files), repair=repair).close()
            except GreenroomError as error:
                yield Finding(path.name, error.code, error.message, wrong=True)
            else:
                yield Finding(path.name, f"opens, {path.stat().st_size / 2**20:.1f} MiB")


def _port(settings: Settings, holder: Holder | None) -> Iterator[Finding]:
    address = f"{settings.host}:{settings.port}"
    try:
        bind(settings.host, settings.port).close()
    except GreenroomError as error:
        mine = holder is not None and (holder.url or "").endswith(f":{settings.port}")
        if not mine:
            yield Finding("port", f"{address} cannot be had", error.message, wrong=True)
            return
        yield Finding("port", f"{address} is served by {holder}")
    else:
        yield Finding("port", f"{address} is free")


def _ray(address: str | None) -> Iterator[Finding]:
    """Start Ray in a process of its own: it takes signals, ports and memory that are not given back."""
    try:
        trial = subprocess.run(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-c", RAY_TRIAL, address or ""],
            capture_output=True,
            text=True,
            timeout=RAY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield Finding("ray", f"did not start in {RAY_SECONDS} s", _mend_ray(address), wrong=True)
        return
    if trial.returncode == 0:
        yield Finding("ray", trial.stdout.strip())
    else:
        reason = trial.stderr.strip().rpartition("\n")[2][:300]
        yield Finding("ray", f"does not start: {reason}", _mend_ray(address), wrong=True)


def try_ray(address: str | None) -> None:
    """Start Ray, or join it, and say what is there."""
    from actors import cluster  # noqa: PLC0415, I001 - Ray is slow to import, and cluster sets it up
    import ray  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as directory:
        cluster.start(address, Path(directory))
        nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        cores = sum(node["Resources"].get("CPU", 0) for node in nodes)
        print(f"{ray.__version__} starts: {len(nodes)} node(s), {cores:g} cores")  # noqa: T201
        cluster.stop(Path(directory))


def _mend_ray(address: str | None) -> str:
    if address:
        return f"Check that a Ray cluster answers at {address}, or leave --ray-address out."
    return "It needs 2 GiB of memory, free ports on 127.0.0.1 and a writable temporary directory (TMPDIR)."


def _providers() -> Iterator[Finding]:
    yield Finding("models", "greenroom/scripted is built in")
    providers = providers_from_environment(os.environ)
    catalog = Catalog(providers)
    models = asyncio.run(catalog.list_models())
    for provider in providers:
        problem = catalog.problems.get(provider.name)
        if problem:
            mend = f"Check {provider.variable}, and that the address can be reached from here."
            yield Finding("models", f"{provider.name}: {problem}", mend, wrong=True)
        else:
            count = sum(model.provider_name == provider.name for model in models)
            yield Finding("models", f"{provider.name}: {count} models (by {provider.variable})")
    on = {provider.name for provider in providers}
    if off := [kind.variable for kind in KINDS if kind.name not in on]:
        yield Finding("models", f"not set: {', '.join(off)}")
