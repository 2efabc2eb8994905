// Hides from a reader what tools were asked and what they answered: the events stay, and say how
// long the payload was. So do the credentials that ADK keeps in an event for its tools.

import { log } from "sessiond:plugin/log@0.1.0";
import type { AfterGet } from "sessiond:plugin/after-get@0.1.0";
import type { Event, TextPart } from "sessiond:plugin/types@0.1.0";

/** How many events are asked for at a time: each is a handle that the host keeps for us. */
const PAGE = 100;

export const afterGet: AfterGet = {
  afterGet(_key, session) {
    let hidden = 0;
    const count = session.eventCount();
    for (let start = 0; start < count; start += PAGE) {
      for (const event of session.events(start, PAGE)) {
        hidden += hide(event) + hideCredentials(event);
      }
    }
    if (hidden > 0) log("debug", `hid ${hidden} payloads`);
  },
};

/** Hides the payloads of an event, and answers how many there were. */
function hide(event: Event): number {
  const payloads = event.texts().filter(isPayload);
  for (const part of payloads) {
    const note = `hidden: ${[...part.text].length} characters`;
    if (!set(event, part, note) && !set(event, part, JSON.stringify({ hidden: note }))) {
      // A reader must not see what could not be hidden.
      throw { tag: "unavailable", val: "A payload of a tool could not be hidden." };
    }
  }
  return payloads.length;
}

function isPayload(part: TextPart): boolean {
  return part.kind === "tool-arguments" || part.kind === "tool-result";
}

/** Members of ADK's credentials that must not be shown, in lower case and without underscores. */
const SECRETS = new Set([
  "accesstoken", "additionalheaders", "apikey", "authcode", "authresponseuri", "clientsecret",
  "codeverifier", "idtoken", "password", "privatekey", "privatekeyid", "refreshtoken", "token",
]);

/**
 * Hides the secrets of `requestedAuthConfigs`, and answers how many there were. Only the strings
 * change: to write the whole body anew would round its big numbers.
 */
function hideCredentials(event: Event): number {
  if (event.dialect() !== "adk" || !/requested_?auth_?configs/i.test(event.body())) return 0;
  const { actions } = JSON.parse(event.body());
  const secrets = new Set<string>();
  collect(actions?.requestedAuthConfigs ?? actions?.requested_auth_configs, false, secrets);
  let hidden = 0;
  for (const part of event.strings()) {
    let text = part.text;
    for (const secret of secrets) text = text.replaceAll(secret, "hidden");
    if (text !== part.text) {
      event.setString(part.index, text);
      hidden += 1;
    }
  }
  return hidden;
}

/** Adds the strings that are secret, or inside of what is. */
function collect(value: unknown, secret: boolean, found: Set<string>): void {
  if (typeof value === "string") {
    if (secret && value !== "") found.add(value);
  } else if (typeof value === "object" && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      collect(inner, secret || SECRETS.has(name.replaceAll("_", "").toLowerCase()), found);
    }
  }
}

/** Whether the host took a text. What the client sent as JSON must stay JSON. */
function set(event: Event, part: TextPart, text: string): boolean {
  try {
    event.setText(part.index, text);
    return true;
  } catch (error) {
    if (error instanceof Error && "payload" in error) return false;
    throw error;
  }
}
