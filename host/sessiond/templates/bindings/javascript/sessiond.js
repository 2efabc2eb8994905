// What makes the contract feel at home in JavaScript. There is nothing here to edit.

import { log } from "sessiond:plugin/log@0.1.0";

/**
 * Refuses the request. The text goes to the client.
 *
 * What a hook throws must have this shape. Anything else, an Error too, is a fault of the plugin:
 * it stops the instance and shows in the daemon's log.
 *
 * @param {"denied" | "invalid" | "unavailable"} kind
 * @param {string} text
 * @returns {never}
 */
export function reject(kind, text) {
  throw { tag: kind, val: text };
}

/**
 * Whether something that was caught is the refusal of an edit, as `setText` and the like throw it.
 *
 * @param {unknown} error
 * @returns {error is Error & { payload: import("sessiond:plugin/types@0.1.0").EditError }}
 */
export function isEditError(error) {
  return error instanceof Error && "payload" in error;
}

/** @param {unknown} value */
function show(value) {
  if (value instanceof Error) return `${value}\n${value.stack}`;
  if (typeof value !== "object") return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return String(value);
  }
}

/** @param {import("sessiond:plugin/log@0.1.0").Level} level */
const writer = (level) => (/** @type {unknown[]} */ ...values) => log(level, values.map(show).join(" "));

/** The engine has no console of its own. This one writes to the daemon's log. */
globalThis.console = {
  trace: writer("trace"),
  debug: writer("debug"),
  log: writer("info"),
  info: writer("info"),
  warn: writer("warn"),
  error: writer("error"),
};
