// A real daemon over a real Redis, for tests.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function eventually(what, is) {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(20)) {
    if (await is()) return;
  }
  throw new Error(`${what} does not start`);
}

const answers = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => resolve(true) || socket.destroy());
    socket.on("error", () => resolve(false));
  });

export class Daemon {
  /** With these lines for the table of the server. */
  static async start(server = "") {
    const daemon = new Daemon();
    daemon.folder = await mkdtemp(join(tmpdir(), "sessiond-"));
    const [port, redis] = [await freePort(), await freePort()];
    daemon.url = `http://127.0.0.1:${port}`;
    const options = { cwd: daemon.folder, stdio: "ignore" };
    daemon.redis = spawn("redis-server", ["--port", redis, "--save", "", "--appendonly", "no"], options);
    await eventually("Redis", () => answers(redis));
    daemon.config = join(daemon.folder, "sessiond.toml");
    const text = `[server]\nlisten = "127.0.0.1:${port}"\n${server}[redis]\nurl = "redis://127.0.0.1:${redis}"\n`;
    await writeFile(daemon.config, text);
    await daemon.run();
    return daemon;
  }

  async run() {
    this.process = spawn(process.env.SESSIOND_PROGRAM, ["serve", "--config", this.config], { stdio: "ignore" });
    await eventually("sessiond", () => fetch(`${this.url}/readyz`).then((it) => it.ok, () => false));
  }

  async kill() {
    this.process.kill("SIGKILL");
    await once(this.process, "exit");
  }

  async restart() {
    await this.kill();
    await this.run();
  }

  async end() {
    await this.kill();
    this.redis.kill("SIGKILL");
    await once(this.redis, "exit");
    await rm(this.folder, { recursive: true, force: true });
  }
}
