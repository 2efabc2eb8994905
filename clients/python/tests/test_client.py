"""The client against a daemon."""

from __future__ import annotations

import asyncio
import socket
import threading

import httpx
import pytest

from sessiond import AsyncClient, Client, Retry, SessiondError, SessionKey, UnreachableError

QUICK = Retry(attempts=4, first_delay=0.01, longest_delay=0.05)

# R76, R77, R78, R80: what stores like to lose.
HARD = {
    "big": 2**70 + 1,
    "deep": [[[[{"a": [None, True, {}]}]]]],
    "small": -0.0,
    "exact": 0.1 + 0.2,
    "huge": 1e308,
    "nul": "a\u0000b",
    "emoji": "👩‍🚀 עברית",
    "null": None,
    "empty": "",
    "": "no name",
    "surrogate": "\ud83d!",
    "unknown": {"x-y": ["z", 1, 1.0]},
    "bytes": "-_8=",
}


def test_what_is_written_is_read_r76_r77(daemon, user):
    with Client(daemon.url) as client:
        client.create_session("shop", user, "s:1")
        key = SessionKey("shop", user, "s:1")
        event = {"role": "user", "content": "hi", **HARD}
        client.append(key, [event])
        read = client.all_events(key)["events"][0]["event"]
        assert read == event and list(read) == list(event)
        assert repr(read["small"]) == "-0.0" and isinstance(read["unknown"]["x-y"][2], float)


def test_ids_of_any_text_r54(daemon, user):
    with Client(daemon.url) as client:
        for id in ["a b", "a/b", "a:pop", "%2F", "ü😀", "a?b#c", "nul\u0000", "{x}*", "..a"]:
            created = client.create_session("shop", user, id, state={"k": id})
            assert created["id"] == id
            assert client.get_session(SessionKey("shop", user, id))["state"] == {"k": id}
            client.delete_session(SessionKey("shop", user, id))
        assert client.list_sessions("shop", user)["sessions"] == []


def test_refusals_have_codes_r94(daemon, user):
    key = SessionKey("shop", user, "missing")
    with Client(daemon.url) as client:
        with pytest.raises(SessiondError) as refused:
            client.get_session(key)
        assert (refused.value.status, refused.value.code) == (404, "session_not_found")
        with pytest.raises(ValueError):
            client.append(key, [{"role": "user", "content": float("nan")}])


def test_state_edits_and_pages(daemon, user):
    with Client(daemon.url) as client:
        client.create_session("shop", user, "s", state={"user:u": 1, "k": [1]})
        key = SessionKey("shop", user, "s")
        client.patch_state({"k": None, "n": 2}, "shop", user, "s")
        client.delete_state("n", "shop", user, "s")
        assert client.get_state("shop", user, "s") == {"k": None, "user:u": 1}
        assert client.get_state("shop", user) == {"u": 1}
        for start in range(0, 900, 300):
            client.append(key, [{"role": "user", "content": str(n)} for n in range(start, start + 300)])
        texts = [it["event"]["content"] for it in client.all_events(key)["events"]]
        assert texts == [str(n) for n in range(900)]
        assert client.pop(key, 2)["removed"] == 2
        fork = client.fork(key, "fork")
        assert fork["id"] == "fork"
        lease = client.lease(key, "10s", holder="me")
        with pytest.raises(SessiondError) as held:
            client.append(key, [{"role": "user", "content": "x"}])
        assert held.value.code == "leased"
        client.append(key, [{"role": "user", "content": "x"}], lease=lease["lease"])
        client.release(key, lease["lease"])
        client.append_track(key, "t", [{"event": {"a": 1}}])
        assert client.get_track(key, "t")["events"][0]["event"] == {"a": 1}
        assert client.clear(key)["removed"] == 899


class Loses(httpx.BaseTransport):
    """Sends, and loses the answers of the first requests: the daemon has done them."""

    def __init__(self, answers: int):
        self.inner, self.left = httpx.HTTPTransport(), answers
        self.ids: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.inner.handle_request(request)
        if request.url.path.endswith("/events"):
            self.ids.append(request.content)
            if self.left > 0:
                self.left -= 1
                response.read()
                raise httpx.ReadError("lost")
        return response


def test_a_retry_is_no_second_event_r4_r11(daemon, user):
    lossy = Loses(2)
    with Client(daemon.url, transport=lossy, retry=QUICK) as client:
        key = SessionKey("shop", user, "s")
        client.create_session(*key)
        reply = client.append(key, [{"role": "user", "content": "once"}])
        assert reply["items"][0]["duplicate"] is True
        assert len(lossy.ids) == 3 and len(set(lossy.ids)) == 1
        assert len(client.all_events(key)["events"]) == 1


def test_retries_are_bounded(user):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with Client(url, retry=QUICK) as client, pytest.raises(UnreachableError):
        client.get_session(SessionKey("shop", user, "s"))


def test_the_asynchronous_twin(daemon, user):
    async def run():
        async with AsyncClient(daemon.url, token="unused") as client:
            key = SessionKey("shop", user, "s")
            await client.create_session(*key)
            await asyncio.gather(
                *(client.append(key, [{"role": "user", "content": str(n)}]) for n in range(20))
            )
            return await client.all_events(key)

    texts = {it["event"]["content"] for it in asyncio.run(run())["events"]}
    assert texts == {str(n) for n in range(20)}


def test_the_token_is_sent():
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json={"state": {}})

    with Client("http://x", token="sd_1", transport=httpx.MockTransport(answer)) as client:
        client.get_state("shop")
    assert seen == ["Bearer sd_1"]


def test_a_watch_goes_on_where_it_broke_r93():
    """Two connections: the first breaks in the middle of a frame."""
    asked: list[str] = []
    streams = [
        'id: 1-2\nevent: snapshot\ndata: {"id": "s"}\n\n: keep-alive\n\nid: 1-3\nevent: append\n'
        'data: {"seq": 3}\n\nevent: append\ndata: {"seq',
        'id: 1-4\nevent: append\ndata: {"seq": 4}\n\nevent: delete\ndata: {}\n\n',
    ]
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        for stream in streams:
            connection, _ = server.accept()
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(4096)
            asked.append(request.decode().lower())
            head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            connection.sendall((head + stream).encode())
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with Client(f"http://127.0.0.1:{server.getsockname()[1]}", retry=QUICK) as client:
        frames = list(client.watch(SessionKey("shop", "ann", "s")))
    thread.join()
    server.close()
    assert [(it.kind, it.cursor) for it in frames] == [
        ("snapshot", "1-2"),
        ("append", "1-3"),
        ("append", "1-4"),
        ("delete", "1-4"),
    ]
    assert "last-event-id" not in asked[0] and "last-event-id: 1-3" in asked[1]
