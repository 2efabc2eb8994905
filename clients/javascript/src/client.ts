import { SessiondError, UnreachableError, problemOf } from "./errors.js";
import { Frames } from "./sse.js";
import type {
  AppendReply,
  Dialect,
  EditReply,
  EventPage,
  Item,
  Lease,
  ReadOptions,
  Session,
  SessionKey,
  SessionPage,
  State,
  Summary,
  WatchFrame,
  WriteOptions,
} from "./types.js";

/** Bounds of sending again. Times in milliseconds. */
export interface Retry {
  attempts: number;
  firstDelay: number;
  longestDelay: number;
}

export interface ClientOptions {
  /** Where the daemon listens; else the variable SESSIOND_URL, else http://127.0.0.1:7717. */
  url?: string;
  /** The bearer token; else the variable SESSIOND_TOKEN, else none. */
  token?: string;
  /** Milliseconds for one attempt: 30000. */
  timeout?: number;
  /** 5 attempts, 100 ms, 2000 ms. */
  retry?: Retry;
  /** In place of the global fetch. */
  fetch?: typeof fetch;
}

interface Call {
  method: string;
  path: string;
  params?: object;
  headers?: Record<string, string | undefined>;
  body?: unknown;
  /** Else it is sent again only if it was surely not done. */
  repeatable?: boolean;
}

const TRANSIENT = new Set([429, 502, 503, 504]);
/** Said before anything is done. */
const NOTHING_DONE = new Set(["starting", "stopping"]);
const NEVER_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"]);

const part = (name: string) =>
  encodeURIComponent(name).replace(/[!'()*]/g, (it) => "%" + it.charCodeAt(0).toString(16));
const userPath = (app: string, user: string) => `/v1/apps/${part(app)}/users/${part(user)}`;
const path = (key: SessionKey) => `${userPath(key.app, key.user)}/sessions/${part(key.session)}`;
const environment = (name: string): string | undefined =>
  (globalThis as any).process?.env?.[name] || undefined;

/**
 * Talks to a daemon. What may be sent again is sent again, with the same event ids, within the bounds
 * of `retry`. Throws SessiondError with a stable code when the daemon refuses, UnreachableError when
 * it does not answer.
 */
export class Client {
  readonly url: string;
  private readonly token: string | undefined;
  private readonly timeout: number;
  private readonly retry: Retry;
  private readonly fetch: typeof fetch;

  constructor(options: ClientOptions = {}) {
    const url = options.url ?? environment("SESSIOND_URL") ?? "http://127.0.0.1:7717";
    this.url = url.replace(/\/+$/, "");
    this.token = options.token ?? environment("SESSIOND_TOKEN");
    this.timeout = options.timeout ?? 30_000;
    this.retry = options.retry ?? { attempts: 5, firstDelay: 100, longestDelay: 2_000 };
    this.fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /** Creates a session, by default with an id of the daemon's. */
  createSession(
    app: string,
    user: string,
    session?: string,
    options: { state?: State; ifExists?: "fail" | "return" } = {},
  ): Promise<Session> {
    return this.json({
      method: "POST",
      path: `${userPath(app, user)}/sessions`,
      params: { if_exists: options.ifExists },
      body: { id: session, state: options.state },
      // A create that failed on the way may have been done: sent again it would say "exists".
      repeatable: options.ifExists === "return" && session !== undefined,
    });
  }

  /** Reads state, a window of events (by default the newest 1000, from a user's turn), summaries. */
  getSession(key: SessionKey, options: ReadOptions = {}): Promise<Session> {
    return this.json({ method: "GET", path: path(key), params: options, repeatable: true });
  }

  /** The session with all its events, however many. */
  async allEvents(key: SessionKey): Promise<Session> {
    const session = await this.getSession(key, { limit: 1000, window: "exact" });
    let events = session.events ?? [];
    let before = events.find((it) => it.seq !== undefined)?.seq ?? 0;
    while (before > 1) {
      const page = await this.getEvents(key, { before_seq: before, limit: 1000 });
      if (page.generation !== session.generation) return this.allEvents(key);
      events = [...page.events, ...events];
      before = page.next_before_seq ?? 0;
    }
    return { ...session, events };
  }

  /** Lists a user's sessions, newest first. */
  listSessions(
    app: string,
    user: string,
    options: { page_size?: number; page_token?: string; include?: "state" } = {},
  ): Promise<SessionPage> {
    const path = `${userPath(app, user)}/sessions`;
    return this.json({ method: "GET", path, params: options, repeatable: true });
  }

  /** Deletes a session with all that is stored of it. None there is no error. */
  async deleteSession(key: SessionKey): Promise<void> {
    await this.send({ method: "DELETE", path: path(key), repeatable: true });
  }

  /** Gives it a time to live: a duration like `30m`, or `none`, or `default`. */
  setTtl(key: SessionKey, ttl: string, lease?: string): Promise<Session> {
    const headers = { "Session-Lease": lease };
    return this.json({ method: "PATCH", path: path(key), body: { ttl }, headers, repeatable: true });
  }

  /** Appends events, all or none. Each gets an id, so that a retry is no second event. */
  append(
    key: SessionKey,
    events: object[],
    options: WriteOptions & { dialect?: Dialect } = {},
  ): Promise<AppendReply> {
    const { dialect } = options;
    return this.appendItems(key, events.map((event) => ({ event, dialect })), options);
  }

  /** Appends events with ids, dialects and changes of state of your own. */
  appendItems(key: SessionKey, items: Item[], options: WriteOptions = {}): Promise<AppendReply> {
    const events = items.map((it) => ({ ...it, id: it.id ?? crypto.randomUUID() }));
    return this.json({
      method: "POST",
      path: `${path(key)}/events`,
      body: { events, generation: options.generation },
      headers: { "If-Match": options.ifMatch, "Session-Lease": options.lease },
      // A repeated If-Match would fail because of the first attempt.
      repeatable: options.ifMatch === undefined,
    });
  }

  /** A page of events: with `after_seq` the oldest after it, else the newest. */
  getEvents(
    key: SessionKey,
    options: { after_seq?: number; before_seq?: number; limit?: number } = {},
  ): Promise<EventPage> {
    return this.json({ method: "GET", path: `${path(key)}/events`, params: options, repeatable: true });
  }

  /** Takes the newest events out, and gives them. Never done twice. */
  pop(key: SessionKey, count = 1, lease?: string): Promise<EditReply> {
    return this.edit(key, "pop", { count }, lease, false);
  }

  /** Keeps the newest part. Give exactly one. */
  trim(
    key: SessionKey,
    keep: { keep_last?: number; last_turns?: number; before_seq?: number },
    lease?: string,
  ): Promise<EditReply> {
    return this.edit(key, "trim", keep, lease, true);
  }

  /** Removes all events and summaries; state stays. */
  clear(key: SessionKey, lease?: string): Promise<EditReply> {
    return this.edit(key, "clear", {}, lease, true);
  }

  /** Goes back to a point, the session's state too. Give exactly one. */
  rewind(
    key: SessionKey,
    to: { to_seq?: number; before_invocation_id?: string },
    lease?: string,
  ): Promise<EditReply> {
    return this.edit(key, "rewind", to, lease, false);
  }

  /** Makes a session of this one, as it was at a point. */
  fork(
    key: SessionKey,
    options: { id?: string; user?: string; to_seq?: number } = {},
  ): Promise<Session> {
    return this.edit(key, "fork", options, undefined, false);
  }

  /** Takes the right to write, or goes on with one. */
  lease(key: SessionKey, ttl: string, options: { holder?: string; lease?: string } = {}): Promise<Lease> {
    return this.edit(key, "lease", { ttl, holder: options.holder }, options.lease, false);
  }

  /** Ends a lease. */
  async release(key: SessionKey, lease: string): Promise<void> {
    const headers = { "Session-Lease": lease };
    await this.send({ method: "POST", path: `${path(key)}:release`, body: {}, headers, repeatable: true });
  }

  /** The state of an app, of a user of it, or what a session of theirs sees. */
  async getState(app: string, user?: string, session?: string): Promise<State> {
    const path = this.scope(app, user, session);
    return (await this.json<{ state: State }>({ method: "GET", path, repeatable: true })).state;
  }

  /** Sets keys. null is a value: it is stored. */
  async patchState(state: State, app: string, user?: string, session?: string): Promise<void> {
    const path = this.scope(app, user, session);
    await this.send({ method: "PATCH", path, body: { state }, repeatable: true });
  }

  /** Removes a key. */
  async deleteState(key: string, app: string, user?: string, session?: string): Promise<void> {
    const path = `${this.scope(app, user, session)}/${part(key)}`;
    await this.send({ method: "DELETE", path, repeatable: true });
  }

  /** The summaries, one for each filter key. */
  async getSummaries(key: SessionKey): Promise<Summary[]> {
    const call = { method: "GET", path: `${path(key)}/summaries`, repeatable: true };
    return (await this.json<{ summaries: Summary[] }>(call)).summaries;
  }

  /** Asks for a summary: `outcome` says what became of it. */
  summarize(
    key: SessionKey,
    options: { filter_key?: string; force?: boolean; wait?: boolean } = {},
  ): Promise<{ outcome: string; last_seq?: number }> {
    const path_ = `${path(key)}/summaries`;
    return this.json({ method: "POST", path: path_, body: options, repeatable: true });
  }

  /** Appends items to a track. */
  appendTrack(key: SessionKey, track: string, items: Item[]): Promise<AppendReply> {
    const events = items.map((it) => ({ ...it, id: it.id ?? crypto.randomUUID() }));
    const path_ = `${path(key)}/tracks/${part(track)}`;
    return this.json({ method: "POST", path: path_, body: { events }, repeatable: true });
  }

  /** A page of a track, oldest first. */
  getTrack(
    key: SessionKey,
    track: string,
    options: { after_seq?: number; limit?: number } = {},
  ): Promise<EventPage> {
    const path_ = `${path(key)}/tracks/${part(track)}`;
    return this.json({ method: "GET", path: path_, params: options, repeatable: true });
  }

  /**
   * What happens to a session: a snapshot, or what follows a cursor, and then as it comes. A broken
   * connection is taken up where it broke. Ends when the session is deleted, or the signal says so.
   */
  async *watch(
    key: SessionKey,
    options: { cursor?: string; limit?: number; window?: "turn" | "exact"; signal?: AbortSignal } = {},
  ): AsyncGenerator<WatchFrame, void, void> {
    const { limit, window, signal } = options;
    let cursor = options.cursor;
    for (let failures = 0; ; ) {
      let problem: SessiondError;
      const frames = new Frames(cursor);
      try {
        const headers = { Accept: "text/event-stream", "Last-Event-ID": cursor };
        const call = { method: "GET", path: `${path(key)}:watch`, params: { limit, window }, headers };
        const answer = await this.request(call, undefined, signal);
        if (!answer.ok) throw problemOf(answer.status, await answer.text());
        for await (const frame of this.frames(answer, frames)) {
          failures = 0;
          if (frame.kind === "error") {
            throw new SessiondError(0, frame.data.code, frame.data.detail, frame.data);
          }
          yield frame;
          if (frame.kind === "delete") return;
        }
        problem = new UnreachableError(`${this.url} ends the stream again and again`);
      } catch (error) {
        if (signal?.aborted) return;
        if (error instanceof SessiondError && !TRANSIENT.has(error.status)) throw error;
        problem = error instanceof SessiondError ? error : new UnreachableError(`${this.url}: ${error}`, error);
      }
      cursor = frames.cursor;
      failures += 1;
      if (failures >= this.retry.attempts) throw problem;
      await this.pause(failures, null);
    }
  }

  private async *frames(answer: Response, frames: Frames): AsyncGenerator<WatchFrame> {
    const reader = answer.body!.getReader();
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        yield* frames.take(decoder.decode(value, { stream: true }));
      }
    } finally {
      // Whoever leaves the loop leaves the connection.
      await reader.cancel().catch(() => undefined);
    }
  }

  private scope(app: string, user?: string, session?: string): string {
    if (user === undefined) return `/v1/apps/${part(app)}/state`;
    if (session === undefined) return `${userPath(app, user)}/state`;
    return `${path({ app, user, session })}/state`;
  }

  private edit<T>(
    key: SessionKey,
    verb: string,
    body: object,
    lease: string | undefined,
    repeatable: boolean,
  ): Promise<T> {
    const headers = { "Session-Lease": lease };
    return this.json({ method: "POST", path: `${path(key)}:${verb}`, body, headers, repeatable });
  }

  private async json<T>(call: Call): Promise<T> {
    return JSON.parse(await this.send(call)) as T;
  }

  /** Sends until there is an answer that another attempt would not better. */
  private async send(call: Call): Promise<string> {
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    for (let attempt = 1; ; attempt += 1) {
      let problem: SessiondError;
      let again: boolean;
      let after: string | null = null;
      try {
        const answer = await this.request(call, body, AbortSignal.timeout(this.timeout));
        const text = await answer.text();
        if (answer.ok) return text;
        problem = problemOf(answer.status, text);
        after = answer.headers.get("retry-after");
        again = TRANSIENT.has(problem.status) && (!!call.repeatable || NOTHING_DONE.has(problem.code));
      } catch (error) {
        problem = new UnreachableError(`${this.url}: ${error}`, error);
        again = !!call.repeatable || NEVER_SENT.has((error as any)?.cause?.code);
      }
      if (!again || attempt >= this.retry.attempts) throw problem;
      await this.pause(attempt, after);
    }
  }

  private request(call: Call, body: string | undefined, signal?: AbortSignal): Promise<Response> {
    const url = new URL(this.url + call.path);
    for (const [name, value] of Object.entries(call.params ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers = new Headers();
    for (const [name, value] of Object.entries(call.headers ?? {})) {
      if (value !== undefined) headers.set(name, value);
    }
    if (body !== undefined) headers.set("Content-Type", "application/json");
    if (this.token !== undefined) headers.set("Authorization", `Bearer ${this.token}`);
    return this.fetch(url, { method: call.method, headers, body, signal });
  }

  /** Waits, spread so that clients that failed together part. */
  private pause(attempt: number, after: string | null): Promise<void> {
    const { firstDelay, longestDelay } = this.retry;
    const delay = Math.min(firstDelay * 2 ** (attempt - 1), longestDelay) * (0.5 + Math.random() / 2);
    const asked = after !== null && /^\d+$/.test(after) ? Number(after) * 1000 : 0;
    const wait = Math.min(Math.max(delay, asked), longestDelay);
    return new Promise((resolve) => setTimeout(resolve, wait));
  }
}
