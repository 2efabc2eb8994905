"""`adk web` with its history in sessiond, and a person at a browser."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

import httpx
import pytest
from conftest import Daemon, free_port
from playwright.sync_api import Page, expect, sync_playwright
from readme import blocks

from sessiond import Client, SessionKey

TESTS = Path(__file__).parent
AGENT = """
from adk_agent import Scripted, look
from google.adk.agents import LlmAgent

root_agent = LlmAgent(name="bot", model=Scripted(model="scripted"), tools=[look])
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def page() -> Iterator[Page]:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert browser, f"none of {', '.join(BROWSERS)} is on the PATH"
    with sync_playwright() as playwright:
        # What a browser as root, as in a container, cannot have.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=browser, args=options)
        page = started.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        # The page asks for fonts of the wide world.
        page.route(lambda url: "//127.0.0.1:" not in url, lambda route: route.abort())
        yield page
        started.close()


@pytest.fixture
def adk_web(daemon: Daemon, tmp_path: Path) -> Iterator[str]:
    """The command of the README, beside its services.yaml and an agent whose model is a script."""
    (yaml,) = blocks("python", "Google ADK", "yaml")
    (command,) = blocks("python", "Google ADK", "")
    program, *arguments = shlex.split(command.replace("127.0.0.1:7717", daemon.address))
    assert program == "adk"
    agents = tmp_path / "agents"
    (agents / "demo").mkdir(parents=True)
    (agents / "services.yaml").write_text(yaml)
    (agents / "demo" / "__init__.py").touch()
    (agents / "demo" / "agent.py").write_text(AGENT)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with open(tmp_path / "adk.log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "google.adk.cli", *arguments, "--port", str(port)],
            cwd=agents,
            # It keeps settings at home.
            env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(TESTS)},
            stdout=log,
            stderr=log,
        )
    said = lambda: (tmp_path / "adk.log").read_text()  # noqa: E731
    end = time.monotonic() + 90
    while True:
        try:
            if httpx.get(f"{url}/list-apps").json() == ["demo"]:
                break
        except httpx.TransportError:
            pass
        assert server.poll() is None and time.monotonic() < end, said()
        time.sleep(0.05)
    yield url
    server.terminate()
    server.wait()
    assert " 500 " not in said() and "Traceback" not in said(), said()


def say(page: Page, text: str) -> None:
    page.locator("textarea.chat-input-box").fill(text)
    page.keyboard.press("Enter")


def conversation(page: Page) -> list[str]:
    """What the page shows of what was said, in order."""
    words = re.compile(r"^(?:words of \w+$|heard: .*)")
    return [line for line in page.inner_text("body").splitlines() if words.match(line)]


def test_a_conversation_is_seen_continued_and_reloaded(daemon: Daemon, adk_web: str, page: Page):
    """R92: begun by another program, gone on with in the browser, and there after a restart."""
    agent = [sys.executable, str(TESTS / "adk_agent.py"), f"sessiond://{daemon.address}"]
    subprocess.run([*agent, "words of another"], check=True, timeout=120)
    first = ["words of another", "heard: words of another; contents: 3; calls: 1"]

    # Found in the list of sessions, as a person would.
    page.goto(f"{adk_web}/dev-ui/?app=demo&userId=ann")
    page.get_by_role("button", name="No Thanks").click()
    page.get_by_text("NEW SESSION").first.click()
    page.get_by_text("s1", exact=True).click()
    expect(page.get_by_text(first[1])).to_be_visible()
    assert conversation(page)[-2:] == first

    say(page, "words of ann")
    second = ["words of ann", "heard: words of ann; contents: 7; calls: 2"]
    expect(page.get_by_text(second[1])).to_be_visible()

    daemon.restart()
    page.reload()
    expect(page.get_by_text(second[1])).to_be_visible()
    expect(page.get_by_text(first[1])).to_be_visible()
    assert conversation(page)[-4:] == first + second

    # And on from there: the model is told all that went before.
    say(page, "words again")
    expect(page.get_by_text("heard: words again; contents: 11; calls: 3")).to_be_visible()

    with Client(daemon.url) as client:
        stored = client.get_session(SessionKey("demo", "ann", "s1"))["events"]
    assert {it["dialect"] for it in stored} == {"adk"}
    parts = [part for it in stored for part in it["event"]["content"]["parts"]]
    assert [part["text"] for part in parts if "text" in part] == [
        *first,
        *second,
        "words again",
        "heard: words again; contents: 11; calls: 3",
    ]
    assert sum("functionCall" in part for part in parts) == 3
    assert sum("functionResponse" in part for part in parts) == 3
