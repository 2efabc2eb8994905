/** A client of sessiond, the daemon that keeps the sessions of AI agents. It depends on fetch only. */

export { Client, type ClientOptions, type Retry } from "./client.js";
export { SessiondError, UnreachableError } from "./errors.js";
export type * from "./types.js";
