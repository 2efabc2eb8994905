"""Clients of a daemon whose users have tokens (R84)."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Iterator

import pytest
from conftest import PROGRAM, Daemon

from sessiond import AsyncClient, Client, SessionKey, SessiondError
from sessiond.adk import SessiondSessionService
from sessiond.openai_agents import SessiondSession

KEY = SessionKey("shop", "ann", "s1")


@pytest.fixture(scope="module")
def tokens() -> dict[str, tuple[str, str]]:
    """A token for each of two users, and its line for the daemon's file."""
    made = {}
    for user in ("ann", "bob"):
        command = [PROGRAM, "token", "new", user, "--app", "shop", "--user", user]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        (token,) = (word for word in said.split() if word.startswith("sd_"))
        (line,) = (line for line in said.splitlines() if not line.startswith("#"))
        made[user] = token, line
    return made


@pytest.fixture(scope="module")
def guarded(tokens, tmp_path_factory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "tokens.toml").write_text("\n".join(line for _, line in tokens.values()))
    daemon = Daemon(folder, server=f'tokens_file = "{folder}/tokens.toml"\n')
    yield daemon
    daemon.end()


def test_a_token_opens_what_is_its_users(guarded, tokens, monkeypatch):
    ann, bob = tokens["ann"][0], tokens["bob"][0]
    with Client(guarded.url, token=ann) as client:
        client.create_session(*KEY, if_exists="return")
        client.append(KEY, [{"role": "user", "content": "mine"}])
    monkeypatch.setenv("SESSIOND_TOKEN", ann)
    with Client(guarded.url) as client:
        assert [it["event"]["content"] for it in client.get_session(KEY)["events"]] == ["mine"]
        client.delete_session(KEY)
    with Client(guarded.url, token=ann) as owner, Client(guarded.url, token=bob) as other:
        owner.create_session(*KEY)
        # Nothing tells another user that there is such a session.
        for ask in (other.get_session, other.delete_session, other.clear):
            with pytest.raises(SessiondError) as refused:
                ask(KEY)
            assert (refused.value.status, refused.value.code) == (404, "session_not_found")
        assert owner.get_session(KEY)["id"] == "s1"


def test_without_a_token_it_is_said_what_to_send(guarded):
    with Client(guarded.url) as client, pytest.raises(SessiondError) as refused:
        client.get_session(KEY)
    assert (refused.value.status, refused.value.code) == (401, "token_missing")
    assert "Authorization: Bearer TOKEN" in str(refused.value)

    async def ask():
        async with AsyncClient(guarded.url, token="sd_old") as client:
            await client.get_session(KEY)

    with pytest.raises(SessiondError) as refused:
        asyncio.run(ask())
    assert (refused.value.status, refused.value.code) == (401, "token_unknown")


def test_the_adapters_show_their_token(guarded, tokens):
    ann, bob = tokens["ann"][0], tokens["bob"][0]

    async def run():
        service = SessiondSessionService(f"sessiond://{ann}@{guarded.address}")
        await service.create_session(app_name="shop", user_id="ann", session_id="adk")
        other = SessiondSessionService(f"sessiond://{bob}@{guarded.address}")
        assert await other.get_session(app_name="shop", user_id="ann", session_id="adk") is None
        session = SessiondSession("items", user="ann", app="shop", url=guarded.url, token=ann)
        await session.add_items([{"role": "user", "content": "hi"}])
        foreign = SessiondSession("items", user="ann", app="shop", url=guarded.url, token=bob)
        assert await foreign.get_items() == []
        with pytest.raises(SessiondError) as refused:
            await foreign.add_items([{"role": "user", "content": "not mine"}])
        assert refused.value.status == 404
        assert await session.get_items() == [{"role": "user", "content": "hi"}]
        unnamed = SessiondSessionService(f"sessiond://{guarded.address}")
        with pytest.raises(SessiondError) as refused:
            await unnamed.get_session(app_name="shop", user_id="ann", session_id="adk")
        assert refused.value.code == "token_missing"
        for it in (service, other, session, foreign, unnamed):
            await it.close()

    asyncio.run(run())
