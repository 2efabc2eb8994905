"""A real daemon over a real Redis, for each test that asks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Iterator

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("SESSIOND_PROGRAM") or str(ROOT / "target" / "debug" / "sessiond")


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Daemon:
    """sessiond and the Redis behind it, both processes."""

    def __init__(self, folder: Path, config: str = "", server: str = ""):
        self.folder = folder
        self.port, redis_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.address = f"127.0.0.1:{self.port}"
        redis = shutil.which("redis-server")
        assert redis, "redis-server is not on the PATH"
        self._redis = subprocess.Popen(
            [redis, "--port", str(redis_port), "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )
        (folder / "sessiond.toml").write_text(
            f'[server]\nlisten = "127.0.0.1:{self.port}"\n{server}'
            f'[redis]\nurl = "redis://127.0.0.1:{redis_port}"\n{config}'
        )
        self._wait_for_redis(redis_port)
        self.start()

    def _wait_for_redis(self, port: int) -> None:
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end, "redis-server does not start"
                time.sleep(0.02)

    def start(self) -> None:
        log = open(self.folder / "log", "ab")
        self._process = subprocess.Popen(
            [PROGRAM, "serve", "--config", str(self.folder / "sessiond.toml")], stderr=log, stdout=log
        )
        end = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            said = (self.folder / "log").read_text()
            assert self._process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Kills the daemon, and starts it again. Redis goes on."""
        self.stop()
        self.start()

    def end(self) -> None:
        self.stop()
        self._redis.kill()
        self._redis.wait()


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    yield daemon
    daemon.end()


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Daemon:
    return shared_daemon


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine's environment says, tests talk to their own daemon."""
    for name in ("SESSIOND_URL", "SESSIOND_TOKEN"):
        monkeypatch.delenv(name, raising=False)


_users = iter(range(1_000_000))


@pytest.fixture
def user() -> str:
    """A user of the test's own."""
    return f"ann:{next(_users)}/ö"
