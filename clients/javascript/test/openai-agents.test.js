import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { SessiondSession } from "sessiond/openai-agents";

import { Daemon } from "./daemon.js";

let daemon;
before(async () => {
  daemon = await Daemon.start();
});
after(() => daemon.end());

const items = () => [
  { type: "message", role: "user", content: "hi \u0000 👩‍🚀" },
  { type: "reasoning", id: "rs_1", content: [], providerData: { x: null } },
  { type: "function_call", callId: "c1", name: "f", arguments: '{"n":1e3}', status: "completed" },
  { type: "function_call_result", callId: "c1", name: "f", status: "completed", output: { type: "text", text: "ok" } },
  { type: "message", role: "user", content: [{ type: "input_image", image: new Uint8Array([0, 254, 255]) }] },
  { type: "compaction", id: "cmp_1", encrypted_content: "gAAA-_8=", providerData: {} },
  { type: "message", id: "same", role: "assistant", status: "completed", content: [] },
  { type: "message", id: "same", role: "assistant", status: "completed", content: [] },
];

test("items come back equal (R13, R14, R75, R76)", async () => {
  const session = new SessiondSession({ sessionId: "s", user: "u:1", url: daemon.url });
  assert.equal(await session.getSessionId(), "s");
  assert.deepEqual(await session.getItems(), []);
  assert.equal(await session.popItem(), undefined);
  await session.clearSession();
  await session.addItems([]);
  await session.addItems(items());
  assert.deepEqual(await session.getItems(), items());
  assert.deepEqual(await session.getItems(3), items().slice(-3));
  assert.deepEqual(await session.getItems(0), []);
  assert.deepEqual(await session.popItem(), items().at(-1));
  assert.deepEqual(await session.getItems(), items().slice(0, -1));
  await session.clearSession();
  assert.deepEqual(await session.getItems(), []);
});

test("a run goes on in another process after a restart (R92)", async () => {
  const model = spawn(process.env.PYTHON ?? "python3", [process.env.MODEL_SERVER], { stdio: ["ignore", "pipe", "inherit"] });
  const [said] = await once(model.stdout, "data");
  const agent = fileURLToPath(new URL("openai-agent.js", import.meta.url));
  const say = async (text) => {
    const { stdout } = await promisify(execFile)(process.execPath, [agent, daemon.url, String(said).trim(), text]);
    return stdout.trim();
  };
  try {
    assert.equal(await say("first"), "items: 3; calls: 1");
    await daemon.restart();
    assert.equal(await say("second"), "items: 7; calls: 2");
  } finally {
    model.kill();
  }
});
