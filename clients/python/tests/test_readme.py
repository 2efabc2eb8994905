"""The quick starts of the README, run word for word by a Python of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import model_server
import pytest
from conftest import Daemon
from readme import blocks

from sessiond import Client, SessionKey


@pytest.fixture
def fresh(tmp_path) -> Daemon:
    """The quick starts name their sessions, so each has a daemon for itself."""
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.end()


def run(heading: str, daemon: Daemon) -> str:
    """Runs the one program under a heading, twice, with what a user would have in the environment."""
    (program,) = blocks("python", heading, "python")
    model = model_server.start()
    environment = {
        **os.environ,
        "SESSIOND_URL": daemon.url,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{model.server_port}/v1",
        "OPENAI_API_KEY": "none",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
    # The daemon of the README is where it is by default.
    program = program.replace("http://127.0.0.1:7717", daemon.url)
    said = []
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120
        )
        assert ran.returncode == 0, ran.stderr
        said.append(ran.stdout.strip())
    model.shutdown()
    return "\n".join(said)


def stored(daemon: Daemon, key: SessionKey) -> list:
    with Client(daemon.url) as client:
        return client.get_session(key)["events"]


def test_the_client(fresh):
    lines = run("Client", fresh).splitlines()
    assert [line.count("'hello'") for line in lines] == [1, 2]
    assert [it["event"]["content"] for it in stored(fresh, SessionKey("shop", "ann", "s1"))] == ["hello", "hello"]


def test_openai_agents(fresh):
    assert run("OpenAI Agents SDK", fresh) == "items: 1; calls: 0\nitems: 3; calls: 0"
    events = stored(fresh, SessionKey("agents", "ann", "s1"))
    assert [it["event"]["role"] for it in events] == ["user", "assistant", "user", "assistant"]


def test_langchain(fresh):
    lines = run("LangChain", fresh).splitlines()
    assert [line.count("HumanMessage(content='hello'") for line in lines] == [1, 2]


def test_agent_framework(fresh):
    assert run("Microsoft Agent Framework", fresh) == "items: 1; calls: 0\nitems: 3; calls: 0"
