import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { Client } from "sessiond";
import { SessiondSession } from "sessiond/openai-agents";

import { Daemon } from "./daemon.js";

const key = { app: "shop", user: "ann", session: "s1" };
const tokens = {};
let daemon, folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-tokens-"));
  const lines = [];
  for (const user of ["ann", "bob"]) {
    const command = ["token", "new", user, "--app", "shop", "--user", user];
    const { stdout } = await promisify(execFile)(process.env.SESSIOND_PROGRAM, command);
    tokens[user] = stdout.split(/\s+/).find((word) => word.startsWith("sd_"));
    lines.push(stdout.split("\n").find((line) => line && !line.startsWith("#")));
  }
  await writeFile(join(folder, "tokens.toml"), lines.join("\n"));
  daemon = await Daemon.start(`tokens_file = ${JSON.stringify(join(folder, "tokens.toml"))}\n`);
});
after(async () => {
  await daemon.end();
  await rm(folder, { recursive: true, force: true });
});

test("a token opens what is its user's (R84)", async () => {
  const owner = new Client({ url: daemon.url, token: tokens.ann });
  await owner.createSession("shop", "ann", "s1");
  await owner.append(key, [{ role: "user", content: "mine" }]);
  assert.equal((await owner.getSession(key)).events[0].event.content, "mine");
  // Nothing tells another user that there is such a session.
  const other = new Client({ url: daemon.url, token: tokens.bob });
  for (const ask of [() => other.getSession(key), () => other.clear(key), () => other.deleteSession(key)]) {
    await assert.rejects(ask(), { status: 404, code: "session_not_found" });
  }
  assert.equal((await owner.getSession(key)).events.length, 1);
});

test("without a token it is said what to send (R84)", async () => {
  const told = { status: 401, code: "token_missing", message: /Authorization: Bearer TOKEN/ };
  await assert.rejects(new Client({ url: daemon.url, token: "" }).getSession(key), told);
  const old = new Client({ url: daemon.url, token: "sd_old" });
  await assert.rejects(old.getSession(key), { status: 401, code: "token_unknown" });
});

test("the session of the OpenAI Agents SDK shows its token (R84)", async () => {
  const options = { sessionId: "items", user: "ann", app: "shop", url: daemon.url };
  const items = [{ type: "message", role: "user", content: "hi" }];
  const session = new SessiondSession({ ...options, token: tokens.ann });
  await session.addItems(items);
  const foreign = new SessiondSession({ ...options, token: tokens.bob });
  assert.deepEqual(await foreign.getItems(), []);
  await assert.rejects(foreign.addItems(items), { status: 404 });
  assert.deepEqual(await session.getItems(), items);
});
