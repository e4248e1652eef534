"""The command, as a process: its help, its exit codes, starting, stopping, refusing."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from server.data_directory import DirectoryLock
from server.options import flag, variable
from server.settings import Settings

# The command, with a fleet that needs no Ray: what it is told to do, it prints.
STUBBED = """
import asyncio, os, sys
from unittest import mock
sys.modules["actors.fleet"] = fleet = mock.Mock()

class Fleet:
    def __init__(self, options, providers):
        self.options = options
    async def start(self, progress):
        progress(f"fleet starts with {self.options.shards} shards")
        if os.environ.get("FLEET") == "fails":
            raise RuntimeError("no room\\nfor Ray")
        if os.environ.get("FLEET") == "hangs":
            await asyncio.Event().wait()
    async def close(self):
        print("fleet closes", file=sys.stderr, flush=True)
        if os.environ.get("FLEET") == "busy":
            await asyncio.Event().wait()

fleet.Fleet = Fleet
from server.cli import main
main()
"""


@pytest.fixture
def environment(tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "GREENROOM_DATA": str(tmp_path / "data"), "GREENROOM_PORT": "0"}


@pytest.fixture
def greenroom(environment):
    """Runs the command to its end."""

    def greenroom(*arguments, stubbed=False, **variables):
        program = ["-c", STUBBED] if stubbed else ["-c", "from server.cli import main; main()"]
        return subprocess.run(
            [sys.executable, *program, *map(str, arguments)],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return greenroom


@pytest.fixture
def serving(environment):
    """Starts servers with a stubbed fleet, and ends those still there."""
    processes = []

    def serving(*arguments, until, **variables):
        process = subprocess.Popen(
            [sys.executable, "-c", STUBBED, "serve", *map(str, arguments)],
            env={**environment, **variables},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        said = ""
        for line in process.stderr:
            said += line
            if until in line:
                return process, said
        raise AssertionError(said)

    yield serving
    for process in processes:
        process.kill()
        process.communicate()


def test_the_help_names_every_setting_and_its_variable(greenroom):
    result = greenroom("serve", "--help")
    words = " ".join(result.stdout.split())
    assert result.returncode == 0
    for name, field in Settings.model_fields.items():
        assert flag(name) in words
        assert variable(name) in words
        assert field.description, name
        assert field.description in words


@pytest.mark.parametrize("command", ["serve", "scripted-model", "doctor", "version"])
def test_every_command_has_help(greenroom, command):
    assert command in greenroom("--help").stdout
    assert greenroom(command, "--help").returncode == 0


def test_version(greenroom):
    result = greenroom("version")
    assert result.returncode == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", result.stdout)
    assert greenroom("--version").stdout == result.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--what"], "--what"),
        (["--port", "many"], "--port (GREENROOM_PORT): Input should be a valid integer"),
        (["--shards", "0"], "--shards (GREENROOM_SHARDS): Input should be greater"),
        (["--log-level", "loud"], "--log-level"),
        (["--host", "192.0.2.1"], "a password is needed: set GREENROOM_PASSWORD"),
        (["--password", "short"], "--password (GREENROOM_PASSWORD)"),
    ],
)
def test_a_mistake_in_its_use_is_2_and_one_message(greenroom, arguments, complaint):
    result = greenroom("serve", *arguments, stubbed=True)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
    assert "short" not in result.stderr.replace("shorter", "")


def test_a_mistake_in_a_variable_names_it(greenroom):
    result = greenroom("serve", stubbed=True, GREENROOM_IDLE_SECONDS="never")
    assert result.returncode == 2
    assert "--idle-seconds (GREENROOM_IDLE_SECONDS)" in result.stderr


def test_a_server_starts_answers_and_stops(serving, tmp_path):
    process, said = serving(until="Ready on")
    assert f"data in {tmp_path / 'data'}" in said
    url = re.search(r"Ready on (\S+)", said)[1]
    with urllib.request.urlopen(f"{url}/v1/health") as response:
        assert response.status == 200
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=60)
    assert re.search(r"(?s)Stopping: .* 10 s .*fleet closes.*Stopped; everything is saved", rest)
    assert process.returncode == 0


def test_ctrl_c_while_it_starts_stops_it(serving):
    process, _ = serving(until="fleet starts", FLEET="hangs")
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert "fleet closes" in rest
    assert "Traceback" not in rest
    assert process.returncode == 0


def test_a_second_signal_ends_it_at_once(serving):
    process, _ = serving(until="Ready on", FLEET="busy")
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "fleet closes" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT


def test_a_fleet_that_does_not_start_is_one_line_and_1(greenroom):
    result = greenroom("serve", stubbed=True, FLEET="fails")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last == "greenroom: Ray did not start: no room (`greenroom doctor` looks closer)"
    assert "Traceback" not in result.stderr


def test_a_second_server_on_the_directory_is_refused(serving, greenroom):
    process, said = serving(until="Ready on")
    url = re.search(r"Ready on (\S+)", said)[1]
    result = greenroom("serve", stubbed=True)
    assert result.returncode == 1
    assert f"in use by process {process.pid}, serving on {url}" in result.stderr
    assert "Traceback" not in result.stderr
    process.kill()
    process.wait()
    again, _ = serving(until="Ready on")
    assert again.poll() is None


def test_a_port_that_is_taken_is_told(greenroom):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = greenroom("serve", "--port", port, stubbed=True)
    assert result.returncode == 1
    assert f"greenroom: Port {port} on 127.0.0.1 is taken." in result.stderr


def test_the_number_of_shards_is_that_of_the_store(serving, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for number in range(7):
        (data / f"shard-{number}.duckdb").write_text("")
    _, said = serving(until="Ready on")
    assert "fleet starts with 7 shards" in said


@pytest.mark.slow
def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(greenroom, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "shard-0.duckdb").write_bytes(b"no database" * 1000)
    result = greenroom("doctor", OPENAI_COMPATIBLE_BASE_URL="http://127.0.0.1:9/v1")
    assert result.returncode == 1
    assert re.search(r"ok +data +.* can be written", result.stdout)
    assert re.search(r"wrong +shard-0\.duckdb", result.stdout)
    assert re.search(
        r"wrong +models +openai-compatible: .*\n +-> Check OPENAI_COMPATIBLE_BASE_URL", result.stdout
    )
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.slow
def test_the_doctor_leaves_a_running_server_alone(greenroom, tmp_path):
    data = tmp_path / "data"
    with DirectoryLock(data) as lock:
        (data / "shard-0.duckdb").write_text("")
        lock.announce("http://127.0.0.1:1")
        result = greenroom("doctor")
    assert result.returncode == 0, result.stdout
    assert re.search(r"ok +ray +\S+ starts", result.stdout)
    assert f"is in use by process {os.getpid()}, serving on http://127.0.0.1:1" in result.stdout
    assert "stop the server to have them checked" in result.stdout
