/** Sessions of the OpenAI Agents SDK, kept in sessiond. */

import type { AgentInputItem, Session } from "@openai/agents";

import { Client, type ClientOptions } from "./client.js";
import { SessiondError } from "./errors.js";
import type { Item, SessionKey } from "./types.js";

export interface SessiondSessionOptions extends ClientOptions {
  /** The session. */
  sessionId: string;
  /** Whose it is; all sessions of a user live together. */
  user: string;
  /** The app that it belongs to: `agents`. */
  app?: string;
  /** A client to share, in place of the further options. */
  client?: Client;
}

/** A `Session` over a daemon: every item comes back as it was added. Created with the first item. */
export class SessiondSession implements Session {
  private readonly key: SessionKey;
  private readonly client: Client;

  constructor(options: SessiondSessionOptions) {
    const { sessionId, user, app = "agents", client } = options;
    this.key = { app, user, session: sessionId };
    this.client = client ?? new Client(options);
  }

  async getSessionId(): Promise<string> {
    return this.key.session;
  }

  async getItems(limit?: number): Promise<AgentInputItem[]> {
    if (limit !== undefined && limit <= 0) return [];
    const read = () =>
      limit === undefined || limit > 10_000
        ? this.client.allEvents(this.key)
        : this.client.getSession(this.key, { limit, window: "exact" });
    const events = (await unlessMissing(read))?.events ?? [];
    const items = events.map((it) => decode(it.event) as AgentInputItem);
    return limit === undefined ? items : items.slice(-limit);
  }

  async addItems(items: AgentInputItem[]): Promise<void> {
    if (items.length === 0) return;
    const batch = items.map(
      (item): Item => ({ id: crypto.randomUUID(), dialect: "openai", event: encode(item) as object }),
    );
    if (await unlessMissing(() => this.client.appendItems(this.key, batch))) return;
    const { app, user, session } = this.key;
    await this.client.createSession(app, user, session, { ifExists: "return" });
    await this.client.appendItems(this.key, batch);
  }

  async popItem(): Promise<AgentInputItem | undefined> {
    const events = (await unlessMissing(() => this.client.pop(this.key)))?.events ?? [];
    const last = events.at(-1);
    return last && (decode(last.event) as AgentInputItem);
  }

  async clearSession(): Promise<void> {
    await unlessMissing(() => this.client.clear(this.key));
  }
}

async function unlessMissing<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof SessiondError && error.code === "session_not_found") return undefined;
    throw error;
  }
}

/** Files and images may be bytes, which JSON has not: they go as `{"$bytes": BASE64}`. */
function encode(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bytes: base64(value) };
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, encode(it)]));
}

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === "$bytes" && typeof first[1] === "string") {
    return Uint8Array.from(atob(first[1]), (it) => it.charCodeAt(0));
  }
  return Object.fromEntries(entries.map(([name, it]) => [name, decode(it)]));
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
