/** What the daemon takes and answers, as it stands in its OpenAPI document. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type State = Record<string, unknown>;
export type Dialect = "trpc" | "adk" | "chat" | "openai";

/** Which session: any text of up to 512 bytes each. */
export interface SessionKey {
  app: string;
  user: string;
  session: string;
}

/** An event to append. It gets an id, if it has none, and keeps it in retries. */
export interface Item {
  event: object;
  id?: string;
  dialect?: Dialect;
  state_delta?: State;
}

/** An event as it is stored. One that a plugin only shows has no `seq`. */
export interface StoredEvent {
  seq?: number;
  id: string;
  time: string;
  dialect: Dialect | "sessiond";
  event: Record<string, unknown>;
  state_delta?: State;
}

/** A summary of a branch; an empty `filter_key` is the whole session. */
export interface Summary {
  filter_key: string;
  text: string;
  topics?: string[];
  first_seq: number;
  last_seq: number;
  updated_at: string;
}

/** A session. Lists have no `events`, and `state` only if asked for. */
export interface Session {
  id: string;
  generation: number;
  revision: number;
  last_seq: number;
  created_at: string;
  updated_at: string;
  expires_at?: string;
  state?: State;
  events?: StoredEvent[];
  summaries?: Summary[];
  truncated?: boolean;
}

export interface SessionPage {
  sessions: Session[];
  next_page_token?: string;
}

export interface EventPage {
  generation?: number;
  events: StoredEvent[];
  next_after_seq?: number;
  next_before_seq?: number;
}

export interface AppendReply {
  generation: number;
  revision?: number;
  last_seq?: number;
  items: { id: string; duplicate: boolean; seq?: number; dropped_by?: string; partial?: boolean }[];
}

export interface EditReply {
  generation: number;
  revision: number;
  last_seq: number;
  removed: number;
  events?: StoredEvent[];
}

export interface Lease {
  lease: string;
  holder: string;
  expires_at: string;
}

export interface ReadOptions {
  limit?: number;
  window?: "turn" | "exact";
  after_seq?: number;
  before_seq?: number;
  after_time?: string;
  summary?: "none" | "include" | "replace";
  max_bytes?: number;
}

export interface WriteOptions {
  /** Only if the session is still this one. */
  generation?: number;
  /** Only if the session still has this ETag. */
  ifMatch?: string;
  /** The token of the lease that the writer holds. */
  lease?: string;
}

/** Something that happened: `snapshot`, `append`, `state`, `summary`, `reset` or `delete`. */
export interface WatchFrame {
  kind: string;
  cursor: string | undefined;
  data: any;
}
