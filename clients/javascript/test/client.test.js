import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { Client, SessiondError, UnreachableError } from "sessiond";

import { Daemon } from "./daemon.js";

const retry = { attempts: 4, firstDelay: 5, longestDelay: 50 };
let daemon, client;
before(async () => {
  daemon = await Daemon.start();
  client = new Client({ url: daemon.url, retry });
});
after(() => daemon.end());

test("what is written is read (R76, R77)", async () => {
  const key = { app: "shop", user: "a:n/n", session: "s 1:pop'!" };
  await client.createSession(key.app, key.user, key.session, { state: { "user:u": null } });
  const event = { role: "user", content: "a\u0000👩‍🚀\ud83d", n: 1.5e300, deep: [{ a: [null, {}] }], "": "" };
  await client.append(key, [event]);
  const read = await client.allEvents(key);
  assert.deepEqual(read.events[0].event, event);
  assert.deepEqual(read.state, { "user:u": null });
  await assert.rejects(client.createSession(key.app, key.user, key.session), { code: "session_exists" });
});

test("pages, edits, leases, state and tracks", async () => {
  const key = { app: "shop", user: "u", session: "s" };
  await client.createSession("shop", "u", "s", { ifExists: "return" });
  for (let n = 0; n < 900; n += 300) {
    await client.append(key, Array.from({ length: 300 }, (_, i) => ({ role: "user", content: `${n + i}` })));
  }
  const all = await client.allEvents(key);
  assert.deepEqual(all.events.map((it) => it.event.content), Array.from({ length: 900 }, (_, i) => `${i}`));
  assert.equal((await client.pop(key, 2)).events[1].event.content, "899");
  const { lease } = await client.lease(key, "10s", { holder: "me" });
  await assert.rejects(client.clear(key), (error) => error instanceof SessiondError && error.status === 423);
  assert.equal((await client.clear(key, lease)).removed, 898);
  await client.release(key, lease);
  await client.patchState({ a: 1, b: null }, "shop", "u", "s");
  await client.deleteState("a", "shop", "u", "s");
  assert.deepEqual(await client.getState("shop", "u", "s"), { b: null });
  await client.appendTrack(key, "t", [{ event: { a: 1 } }]);
  assert.deepEqual((await client.getTrack(key, "t")).events[0].event, { a: 1 });
  assert.equal((await client.listSessions("shop", "u")).sessions[0].id, "s");
  await client.deleteSession(key);
  await assert.rejects(client.getSession(key), { code: "session_not_found", status: 404 });
});

test("a retry is no second event (R4, R11)", async () => {
  let left = 2;
  const lossy = new Client({
    url: daemon.url,
    retry,
    // The daemon has done it, and its answer is lost.
    fetch: async (url, init) => {
      const answer = await fetch(url, init);
      if (url.pathname.endsWith("/events") && init.method === "POST" && left-- > 0) throw new TypeError("lost");
      return answer;
    },
  });
  const key = { app: "shop", user: "r", session: "s" };
  await lossy.createSession("shop", "r", "s");
  assert.equal((await lossy.append(key, [{ role: "user", content: "once" }])).items[0].duplicate, true);
  assert.equal((await lossy.allEvents(key)).events.length, 1);
});

test("retries are bounded", async () => {
  const nobody = new Client({ url: "http://127.0.0.1:1", retry });
  await assert.rejects(nobody.getState("a"), UnreachableError);
});

test("a watch goes on where it broke (R93)", async () => {
  const streams = [
    'id: 1-2\nevent: snapshot\ndata: {}\n\n: keep-alive\n\nid: 1-3\nevent: append\ndata: {"seq":3}\n\nevent: append\ndata: {"s',
    'id: 1-4\nevent: append\ndata: {"seq":4}\n\nevent: delete\ndata: {}\n\n',
  ];
  const asked = [];
  const server = http.createServer((request, response) => {
    asked.push([request.headers["last-event-id"], request.headers.authorization]);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.end(streams[asked.length - 1]);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  const seen = [];
  for await (const frame of new Client({ url, retry, token: "sd_1" }).watch({ app: "a", user: "u", session: "s" })) {
    seen.push(`${frame.kind} ${frame.cursor}`);
  }
  server.closeAllConnections();
  server.close();
  assert.deepEqual(seen, ["snapshot 1-2", "append 1-3", "append 1-4", "delete 1-4"]);
  assert.deepEqual(asked, [[undefined, "Bearer sd_1"], ["1-3", "Bearer sd_1"]]);
});
