"""The machine that is killed again and again, for every module of crash tests."""

from tests.crash.test_kill import client, machine, model, server

__all__ = ["client", "machine", "model", "server"]
