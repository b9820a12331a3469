import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { AthenaError } from "@projectathena/client";
import { getHalt, getPolicy, listEvents, startHalt } from "@projectathena/client/operations";
import { href, hrefAt, route } from "../route";
import { caller, isAllowed } from "./caller";
import { now } from "./clock";
import { instant, instantError, isSeeking, request, timeOf } from "./instant";
import { LiveQuery } from "./live_query";

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((done) => setTimeout(done));
};

const show = (at: string | undefined): void => {
  route.value = { page: "runs", id: undefined, filters: { status: "failed" }, at };
};

/** The answer to a read as of a position: the position, or the data of `answers`. */
function answerTo(url: URL): Response {
  const at = url.searchParams.get("asOf") ?? "99";
  if (at === "nonsense") return Response.json({ ok: false, error: { code: "CONFIG_ERROR", message: "No.", retryable: false } }, { status: 400 });
  const position = at.startsWith("2026") ? "41" : at;
  const headers = { "athena-position": position, ...(position !== "0" && { "athena-as-of": "2026-11-28T02:09:58.000Z" }) };
  return Response.json({ ok: true, data: { seen: position } }, { headers });
}

/** Answer reads, and return their addresses. */
async function reading(act: (urls: string[]) => Promise<void>): Promise<void> {
  const real = globalThis.fetch;
  const urls: string[] = [];
  globalThis.fetch = (address) => {
    const url = new URL(String(address));
    urls.push(url.pathname.replace("/api/v1", "") + url.search);
    return Promise.resolve(answerTo(url));
  };
  try {
    await act(urls);
  } finally {
    show(undefined);
    globalThis.fetch = real;
  }
}

async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    return error instanceof AthenaError ? error.code : String(error);
  }
}

test("every read is as of the moment that the server found for the address", async () => {
  await reading(async (urls) => {
    await request(getPolicy);
    show("2026-11-28T02:10");
    equal(isSeeking.value, true);
    const answers = await Promise.all([request(getPolicy), request(listEvents, { query: { limit: 9 } })]);
    deepEqual(
      answers.map(({ position }) => position),
      [41, 41],
    );
    deepEqual(urls, ["/policy", "/events?limit=1&asOf=2026-11-28T02%3A10", "/policy?asOf=41", "/events?limit=9&asOf=41"]);
    deepEqual(instant.value, { at: "2026-11-28T02:10", position: 41, time: "2026-11-28T02:10:00.000Z" });
    equal(now.value, Date.parse("2026-11-28T02:10Z")); // ages are of the moment
    show("41");
    await settled();
    equal(instant.value?.time, "2026-11-28T02:09:58.000Z");
    equal(isSeeking.value, false);
    show(undefined);
    equal(instant.value, undefined);
  });
});

test("in the past, what has no past is not asked, and nothing is changed", async () => {
  caller.value = { identity: "ada", role: "Admin", operations: ["startHalt", "getHalt"] };
  await reading(async (urls) => {
    equal(isAllowed(startHalt), true);
    show("7");
    await settled();
    equal(await codeOf(request(getHalt)), "NO_PAST");
    equal(await codeOf(request(startHalt)), "NO_PAST");
    deepEqual([isAllowed(startHalt), isAllowed(getHalt)], [false, true]);
    deepEqual(urls, ["/events?limit=1&asOf=7"]);
  });
  caller.value = undefined;
});

test("a moment that does not exist is an error of its address only", async () => {
  await reading(async () => {
    for (const [at, code] of [
      ["nonsense", "CONFIG_ERROR"],
      ["0", "BEFORE_LOG"],
    ] as const) {
      show(at);
      equal(await codeOf(request(getPolicy)), code);
      await settled();
      equal(instantError.value?.code, code);
      show("5");
      equal(instantError.value, undefined);
      await settled();
      equal(instant.value?.position, 5);
    }
  });
});

test("a live query shows one moment after the other, and no answer that is late", async () => {
  await reading(async () => {
    const answers: (() => void)[] = [];
    const live = new LiveQuery<{ seen: string }>(
      async () => {
        const answer = (await request(getPolicy)) as unknown as { data: { seen: string }; position: number };
        await new Promise<void>((done) => answers.push(done));
        return answer;
      },
      (state) => state,
    );
    const answer = async (): Promise<string | undefined> => {
      await settled();
      answers.shift()?.();
      await settled();
      return live.data.value?.seen;
    };
    try {
      equal(await answer(), "99");
      show("5");
      await settled();
      show("6");
      equal(await answer(), "99"); // what 5 was comes too late
      equal(await answer(), "6");
      live.reload();
      await settled();
      equal(answers.length, 0); // the past does not change
      show("nonsense");
      await settled();
      deepEqual([live.data.value, live.error.value?.code], [undefined, "CONFIG_ERROR"]);
      show(undefined);
      equal(await answer(), "99");
      equal(live.error.value, undefined);
    } finally {
      live.close();
    }
  });
});

test("links stay at the moment of the page", () => {
  show("41");
  equal(href("events", undefined, { runId: "run_1" }), "#/events?runId=run_1&at=41");
  equal(href("runs", "run_1"), "#/runs/run_1?at=41");
  equal(href("fleet", undefined, {}, "40"), "#/fleet?at=40");
  equal(hrefAt(""), "#/runs?status=failed");
  show(undefined);
  equal(href("fleet"), "#/fleet");
});

test("a time without an offset is UTC", () => {
  equal(timeOf("2026-11-28T02:10"), "2026-11-28T02:10:00.000Z");
  equal(timeOf("2026-11-28T02:10+01:00"), "2026-11-28T01:10:00.000Z");
  equal(timeOf("2026-11-28"), "2026-11-28T00:00:00.000Z");
  equal(timeOf("41"), undefined);
  equal(timeOf("2026-99-28"), undefined);
});
