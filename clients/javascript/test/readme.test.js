// The quick starts of the README, run word for word by a Node of their own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Client } from "sessiond";

import { Daemon } from "./daemon.js";

const folder = fileURLToPath(new URL("..", import.meta.url));
let daemon, model, environment, programs;

before(async () => {
  daemon = await Daemon.start();
  model = spawn(process.env.PYTHON ?? "python3", [process.env.MODEL_SERVER], { stdio: ["ignore", "pipe", "inherit"] });
  const [said] = await once(model.stdout, "data");
  environment = {
    ...process.env,
    SESSIOND_URL: daemon.url,
    OPENAI_BASE_URL: String(said).trim(),
    OPENAI_API_KEY: "none",
    OPENAI_AGENTS_DISABLE_TRACING: "1",
  };
  const text = await readFile(`${folder}/README.md`, "utf8");
  programs = [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((it) => it[1]);
  // The daemon of the README is where it is by default.
  programs = programs.map((it) => it.replace("http://127.0.0.1:7717", daemon.url));
  assert.equal(programs.length, 2);
});
after(async () => {
  model.kill();
  await daemon.end();
});

/** Runs a program until it ends, or until it has said something. */
async function run(program, until) {
  const process_ = spawn(process.execPath, ["--input-type=module", "-e", program], { cwd: folder, env: environment });
  let said = "";
  let wrong = "";
  process_.stderr.on("data", (it) => (wrong += it));
  const late = setTimeout(() => process_.kill(), 60_000);
  const heard = new Promise((resolve) => {
    process_.stdout.on("data", (it) => {
      said += it;
      if (until?.test(said)) resolve();
    });
  });
  const ended = once(process_, "close").then(([status]) => status);
  const status = await Promise.race([ended, heard.then(() => undefined)]);
  if (status === undefined) process_.kill();
  await ended;
  clearTimeout(late);
  assert.equal(status, until ? undefined : 0, wrong);
  return said.trim();
}

test("the client, and a watch that goes on", async () => {
  const said = await run(programs[0], /^snapshot /m);
  assert.match(said, /event: \{ role: 'user', content: 'hello' \}/);
  const key = { app: "shop", user: "ann", session: "s1" };
  assert.equal((await new Client({ url: daemon.url }).getSession(key)).events.length, 1);
});

test("the OpenAI Agents SDK", async () => {
  assert.equal(await run(programs[1]), "items: 1; calls: 0");
  assert.equal(await run(programs[1]), "items: 3; calls: 0");
});
