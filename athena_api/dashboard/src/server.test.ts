import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { AthenaError } from "@projectathena/client";
import { getPolicy, startHalt, streamEvents } from "@projectathena/client/operations";
import { follow, loggedOut, requestNow, resumeReads } from "./server";
import { caller } from "./state/caller";
import { faultOf, tokenIn } from "./state/login";

const REVOKED = { ok: false, error: { code: "AUTH_TOKEN_INVALID", message: "The token is not valid.", retryable: false } };
const [ID, SECRET] = ["01M8".padEnd(26, "A"), "s-_9".padEnd(43, "x")];
const TOKEN = `ath_${ID}_${SECRET}`;

async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    return error instanceof AthenaError ? error.code : String(error);
  }
}

const json = (status: number, body: object): Response => Response.json(body, { status });
const frame = (cursor: string): Response =>
  new Response(`event: caught-up\nid: ${cursor}\ndata: {"ok":true,"data":{}}\n\n`, { headers: { "content-type": "text/event-stream" } });
const settled = (): Promise<void> => new Promise((done) => setTimeout(done));

/** Answer requests in turn, and return their addresses. */
async function answering(answers: (() => Response)[], act: (urls: string[]) => Promise<void>): Promise<void> {
  const real = globalThis.fetch;
  const urls: string[] = [];
  globalThis.fetch = (url) => {
    const answer = answers[urls.push(String(url).replace(/.*v1/, "")) - 1];
    return answer ? Promise.resolve(answer()) : Promise.reject(new Error("no more answers"));
  };
  caller.value = { identity: "ada", role: "Admin", operations: [] };
  try {
    await act(urls);
  } finally {
    globalThis.fetch = real;
    caller.value = undefined;
    resumeReads();
  }
}

test("a read that finds the session revoked waits for the next login", async () => {
  await answering([() => json(401, REVOKED), () => json(200, { ok: true, data: { schemaVersion: 1 } })], async (urls) => {
    const reading = requestNow(getPolicy);
    while (!loggedOut.value) await settled();
    equal(loggedOut.value.code, "AUTH_TOKEN_INVALID");
    const other = requestNow(getPolicy);
    await settled();
    deepEqual(urls, ["/policy"]);
    resumeReads();
    deepEqual((await reading).data, { schemaVersion: 1 });
    equal(await codeOf(other), "UNREACHABLE");
  });
});

test("a write is never sent again by a login", async () => {
  await answering([() => json(401, REVOKED)], async (urls) => {
    equal(await codeOf(requestNow(startHalt, { body: { reason: "fire" } })), "AUTH_TOKEN_INVALID");
    equal(loggedOut.value?.status, 401);
    resumeReads();
    await settled();
    equal(urls.length, 1);
  });
});

test("a stream continues after the next login where it was", async () => {
  await answering([() => frame("c7"), () => json(401, REVOKED), () => frame("c8")], async (urls) => {
    const cursors: (string | undefined)[] = [];
    const stop = new AbortController();
    const following = (async () => {
      for await (const { cursor } of follow(streamEvents, "c6", { signal: stop.signal })) {
        cursors.push(cursor);
        if (cursor === "c8") stop.abort();
      }
    })();
    while (!loggedOut.value) await settled();
    resumeReads();
    await following;
    deepEqual(cursors, ["c7", "c8"]);
    deepEqual(urls, ["/events/stream?after=c6", "/events/stream?after=c7", "/events/stream?after=c7"]);
  });
});

test("a login page of a proxy instead of an answer ends the login", async () => {
  const redirected = (): Response => Object.defineProperty(new Response(), "status", { value: 0 });
  await answering([redirected], async () => {
    equal(await codeOf(requestNow(startHalt)), "INVALID_ANSWER");
    equal(loggedOut.value?.status, 0);
  });
});

test("a refusal that is not about the identity leaves the page open", async () => {
  const denied = { ok: false, error: { code: "AUTHZ_DENIED", message: "no", retryable: false } };
  await answering([() => json(403, denied)], async () => {
    equal(await codeOf(requestNow(getPolicy)), "AUTHZ_DENIED");
    equal(loggedOut.value, undefined);
  });
});

test("a token is found in what was pasted", () => {
  for (const text of [TOKEN, ` ${TOKEN}\n`, `Bearer ${TOKEN}`, `"token": "${TOKEN}",`, `ATHENA_TOKEN=${TOKEN}`]) equal(tokenIn(text), TOKEN);
  equal(tokenIn(" bearer a-long-api-token/+= \n"), "a-long-api-token/+=");
  equal(tokenIn(`${TOKEN.slice(0, 40)}\n${TOKEN.slice(40)}`), TOKEN);
  deepEqual([faultOf(""), faultOf(TOKEN), faultOf("“quoted”") !== undefined], ["Paste a token.", undefined, true]);
});
