// Requests and streams against a server that answers by a script.

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { inspect } from "node:util";
import * as operations from "../src/generated/operations.js";
import { Athena, AthenaError, type AthenaOptions, pathOf } from "../src/index.js";
import { retryAfterMs } from "../src/timing.js";

type Step = (request: IncomingMessage, response: ServerResponse, body: string) => void;
interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Serve one step for each request, the last one again and again. Return what arrived. */
async function served(steps: readonly Step[], use: (athena: Athena) => Promise<void>, options: AthenaOptions = {}) {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
      steps[Math.min(seen.length, steps.length) - 1]?.(request, response, body);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  try {
    await use(new Athena({ baseUrl: `http://127.0.0.1:${port}/`, ...options }));
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return seen;
}

const answer =
  (data: unknown, headers: Record<string, string> = {}): Step =>
  (_, response) => {
    response.writeHead(200, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ ok: true, data }));
  };

const refuse =
  (status: number, error: object, headers: Record<string, string> = {}): Step =>
  (_, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ ok: false, error: { message: "no", retryable: false, traceId: "t", ...error } }));
  };

const cut: Step = (request) => request.socket.destroy();
const silent: Step = () => undefined;
const BUSY = { code: "OVERLOADED", retryable: true, retryWith: "same-key" };

test("a call has one key, also after lost connections and errors that allow it", async () => {
  const steps = [cut, refuse(503, BUSY), answer({ id: "d" })];
  const seen = await served(steps, async (athena) => {
    assert.deepEqual(await athena.createDirective({ input: "x" }), { id: "d" });
    await athena.createDirective({ input: "x" });
  });
  const keys = seen.map((one) => one.headers["idempotency-key"]);
  assert.equal(new Set(keys.slice(0, 3)).size, 1);
  assert.notEqual(keys[3], keys[0]);
  assert.match(String(keys[0]), /^[0-9a-f]{32}$/);
  assert.deepEqual([seen[2]?.method, seen[2]?.url, seen[2]?.body], ["POST", "/api/v1/directives", '{"input":"x"}']);
});

test("other errors are thrown at once, with their parts", async () => {
  const failed = { code: "PROVIDER_ERROR", retryable: true, retryWith: "new-key", details: { runId: "run_1" } };
  const seen = await served([refuse(502, failed)], async (athena) => {
    await assert.rejects(athena.createRun({ input: "x" }), (error) => {
      assert.ok(error instanceof AthenaError);
      const { code, retryable, retryWith, status, traceId, runId, message } = error;
      assert.deepEqual(
        { code, retryable, retryWith, status, traceId, runId, message },
        {
          ...{ code: "PROVIDER_ERROR", retryable: true, retryWith: "new-key", status: 502 },
          ...{ traceId: "t", runId: "run_1", message: "no" },
        },
      );
      return true;
    });
  });
  assert.equal(seen.length, 1);
});

test("a pause that would end after the deadline is not begun", async () => {
  const use = (athena: Athena) => assert.rejects(athena.getFleetSummary(), { code: "OVERLOADED" });
  const seen = await served([refuse(503, BUSY, { "retry-after": "3600" })], use);
  assert.equal(seen.length, 1);
  assert.equal((await served([refuse(503, BUSY)], use, { deadlineMs: 0 })).length, 1);
});

test("an attempt that takes too long counts as a lost connection", async () => {
  const seen = await served([silent, answer(1)], async (athena) => {
    assert.equal((await athena.request(operations.getFleetSummary, { timeoutMs: 50 })).data, 1);
  });
  assert.equal(seen.length, 2);
});

test("an answer that is not from Athena has a code of its own", async () => {
  const page =
    (status: number): Step =>
    (_, response) =>
      response.writeHead(status, { "content-type": "text/html" }).end("<h1>no</h1>");
  await served([page(404)], (athena) => assert.rejects(athena.getPolicy(), { code: "INVALID_ANSWER", status: 404 }));
  await served([page(502), answer(null)], async (athena) => assert.equal(await athena.getPolicy(), null));
});

test("a signal aborts a request, its pauses, and a stream", async () => {
  for (const step of [silent, refuse(503, BUSY, { "retry-after": "60" })]) {
    const controller = new AbortController();
    const stop: Step = (...parts) => {
      step(...parts);
      setImmediate(() => controller.abort(new Error("enough")));
    };
    await served([stop], async (athena) => {
      await assert.rejects(athena.getPolicy({ signal: controller.signal }), { message: "enough" });
      await assert.rejects(athena.getPolicy({ signal: controller.signal }), { message: "enough" });
      for await (const event of athena.events({ signal: controller.signal })) assert.fail(event.type);
    });
  }
});

test("an item of a path cannot change the path", () => {
  assert.equal(pathOf(operations.getRun, { path: { runId: "a/b?c" } }), "/api/v1/runs/a%2Fb%3Fc");
  for (const runId of ["", ".", ".."]) assert.throws(() => pathOf(operations.getRun, { path: { runId } }), RangeError);
  const query = { types: ["a", "b"], limit: 1, sessionId: undefined };
  assert.equal(pathOf(operations.listEvents, { query }), "/api/v1/events?types=a%2Cb&limit=1");
});

test("a list is read page by page", async () => {
  const steps = [answer({ items: [1, 2], nextCursor: "c" }), answer({ items: [3] })];
  const seen = await served(steps, async (athena) => {
    const items: unknown[] = [];
    for await (const item of athena.listRuns({ status: "failed", limit: 2 })) items.push(item);
    assert.deepEqual(items, [1, 2, 3]);
  });
  const urls = seen.map((one) => one.url);
  assert.deepEqual(urls, ["/api/v1/runs?status=failed&limit=2", "/api/v1/runs?status=failed&limit=2&cursor=c"]);
});

function frames(...ids: number[]): string {
  return ids.map((id) => `id: c${id}\nevent: a.b\ndata: {"ok":true,"data":{"id":"c${id}","type":"a.b"}}\n\n`).join("");
}

const stream =
  (text: string, end: (response: ServerResponse) => void): Step =>
  (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`retry: 2000\n\n${text}`, () => end(response));
  };

test("events of unknown types, and those that cannot be decoded, are marked", async () => {
  const record = (type: string, more: object = {}): string =>
    `id: ${type}\nevent: ${type}\ndata: ${JSON.stringify({ ok: true, data: { id: type, type, payload: {}, ...more } })}\n\n`;
  const text = record("run.started") + record("run.teleported") + record("run.completed", { undecodable: true });
  await served([stream(text, () => undefined)], async (athena) => {
    const found: unknown[] = [];
    for await (const event of athena.events()) {
      found.push(event.type === "unknown" ? [event.unknownType] : event.type);
      if (found.length === 3) break;
    }
    assert.deepEqual(found, ["run.started", ["run.teleported"], ["run.completed"]]);
  });
});

test("a run that is paused is an error with the run", async () => {
  const paused: Step = (_, response) => {
    response.writeHead(202, { "content-type": "application/json" });
    response.end(JSON.stringify({ ok: true, data: { runId: "run_1", status: "paused" } }));
  };
  await served([paused], (athena) =>
    assert.rejects(athena.run("x"), { code: "RUN_PAUSED", runId: "run_1", status: 202 }),
  );
});

test("a stream continues after its last event over everything that may pass", async () => {
  const mark = 'id: c7\nevent: caught-up\ndata: {"ok":true,"data":{"cursor":"c7","head":7}}\n\n';
  const steps = [
    stream(frames(1, 2) + frames(3).slice(0, -1), (response) => response.destroy()), // the third is cut
    cut,
    refuse(503, { code: "STREAM_LIMIT", retryable: true, retryWith: "same-key" }),
    stream(frames(3, 4), (response) => response.end()),
    stream(mark, (response) => response.end()),
    stream(frames(8), () => undefined),
  ];
  const connections: string[] = [];
  const seen = await served(steps, async (athena) => {
    const onConnection = (lost?: AthenaError): unknown => connections.push(lost?.code ?? "open");
    const ids: string[] = [];
    for await (const event of athena.events({ after: "c0", types: ["a.b", "c"], onConnection })) {
      ids.push(event.id);
      if (event.id === "c8") break;
    }
    assert.deepEqual(ids, ["c1", "c2", "c3", "c4", "c8"]);
  });
  const after = seen.map((one) => new URL(one.url, "http://x").searchParams.get("after"));
  assert.deepEqual(after, ["c0", "c2", "c2", "c2", "c4", "c7"]);
  assert.deepEqual(connections.slice(0, 3), ["open", "UNREACHABLE", "UNREACHABLE"]);
  assert.equal(connections.filter((one) => one === "open").length, 4);
});

test("a stream that is rejected, or never reached, throws", async () => {
  const consume = async (athena: Athena): Promise<void> => {
    for await (const event of athena.events()) assert.fail(event.type);
  };
  await served([refuse(409, { code: "CURSOR_AHEAD" })], (athena) =>
    assert.rejects(consume(athena), { code: "CURSOR_AHEAD" }),
  );
  await served([cut], (athena) => assert.rejects(consume(athena), { code: "UNREACHABLE" }), { deadlineMs: 300 });
});

test("a stream with a frame that is too large or not from Athena throws", async () => {
  for (const text of ["data: ".concat("x".repeat(17 << 20)), "data: <h1>\n\n", "data: {}\n\n"]) {
    await served([stream(text, () => undefined)], (athena) =>
      assert.rejects(athena.events().next(), { code: "INVALID_ANSWER", status: 200 }),
    );
  }
});

test("what cannot be sent is not tried", async () => {
  for (const baseUrl of ["localhost:8787", "ftp://127.0.0.1", "http://[", "//127.0.0.1", "http://a:b@127.0.0.1", ""]) {
    assert.throws(() => new Athena({ baseUrl }), /baseUrl|Invalid URL/, baseUrl);
  }
  await assert.rejects(new Athena({ identity: "a\nb" }).getPolicy(), TypeError);
  await assert.rejects(new Athena({ identity: "a\nb" }).events().next(), TypeError);
});

test("requests are sent by the fetch that is given", async () => {
  const urls: string[] = [];
  const fetch: typeof globalThis.fetch = async (url) => {
    urls.push(String(url));
    return Response.json({ ok: true, data: null });
  };
  const athena = new Athena({ baseUrl: "https://athena.example/behind/a/proxy/", fetch });
  assert.equal(await athena.getPolicy({ minPosition: 7, stale: "allow" }), null);
  assert.deepEqual(urls, ["https://athena.example/behind/a/proxy/api/v1/policy?minPosition=7&stale=allow"]);
});

test("the headers of a client are sent with each request", async () => {
  const options = { identity: "ada", headers: { "x-proxy": "1" } };
  const seen = await served([answer(null)], async (athena) => void (await athena.getPolicy()), options);
  assert.deepEqual([seen[0]?.headers["x-athena-identity"], seen[0]?.headers["x-proxy"]], ["ada", "1"]);
});

test("a redirect is not followed: another host does not get the identity", async () => {
  const elsewhere = await served([answer({ id: "d" })], async (athena) => {
    await athena.getCaller();
    const { base } = athena as unknown as { base: string };
    const away: Step = (_, response) => response.writeHead(307, { location: `${base}/api/v1/caller` }).end();
    const use = async (sent: Athena): Promise<void> => {
      await assert.rejects(sent.getCaller(), { code: "INVALID_ANSWER", status: 307 });
    };
    await served([away], use, { identity: "alice" });
  });
  assert.equal(elsewhere.length, 1);
});

const TOKEN = `ath_${"T0K3N".repeat(10)}`;

test("the token goes with each request and stream, and not along a redirect", async () => {
  const elsewhere = await served([answer(null)], async (other) => {
    const { base } = other as unknown as { base: string };
    const away: Step = (_, response) => response.writeHead(307, { location: `${base}/api/v1/policy` }).end();
    const steps = [answer(null), stream(frames(1), () => undefined), away];
    const use = async (athena: Athena): Promise<void> => {
      await athena.getPolicy({ headers: { Authorization: "Basic other" } });
      await athena.events().next();
      await assert.rejects(athena.getPolicy(), { code: "INVALID_ANSWER", status: 307 });
    };
    const seen = await served(steps, use, { token: TOKEN });
    assert.deepEqual(
      seen.map((one) => one.headers.authorization),
      Array(3).fill(`Bearer ${TOKEN}`),
    );
    assert.equal(seen[0]?.headers["x-athena-identity"], undefined);
  });
  assert.equal(elsewhere.length, 0);
});

test("a stream whose token is refused at a reconnection throws the error", async () => {
  const revoked = refuse(401, { code: "AUTH_TOKEN_INVALID" }, { "www-authenticate": "Bearer" });
  const seen = await served([stream(frames(1), (response) => response.end()), revoked], async (athena) => {
    const events = athena.events();
    assert.equal((await events.next()).value?.id, "c1");
    await assert.rejects(events.next(), { code: "AUTH_TOKEN_INVALID", status: 401 });
  });
  assert.equal(seen.length, 2);
});

test("no text of the client and of its errors has the token", async () => {
  const texts: string[] = [];
  const keep = (thing: unknown): void =>
    void texts.push(inspect(thing, { depth: 20, showHidden: true }), String(thing));
  const use = async (athena: Athena): Promise<void> => {
    keep(athena);
    texts.push(JSON.stringify(athena));
    await athena.getPolicy().catch(keep);
    await athena.events({ deadlineMs: 0 }).next().catch(keep);
  };
  const options = { token: TOKEN, deadlineMs: 0 };
  await served([refuse(401, { code: "AUTH_TOKEN_EXPIRED" })], use, options);
  await use(new Athena({ baseUrl: "http://127.0.0.1:1", ...options }));
  const wrong = ["", "ath_a b", `${TOKEN}\n`].map((token) => ({ token }));
  for (const parts of [...wrong, { token: TOKEN, identity: "ada" }]) {
    try {
      new Athena(parts);
      assert.fail();
    } catch (error) {
      assert.ok(error instanceof RangeError);
      keep(error);
    }
  }
  assert.ok(texts.length > 16 && texts.includes("AthenaError: no"));
  assert.deepEqual(
    texts.filter((text) => text.includes("T0K3N")),
    [],
  );
});

test("an answer without an end is refused", async () => {
  const endless: Step = (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    const more = (): void => {
      if (!response.destroyed) response.write(" ".repeat(1 << 16), () => setImmediate(more));
    };
    more();
  };
  const options = { answerBytesMax: 1 << 20, timeoutMs: 5_000 };
  const use = async (athena: Athena): Promise<void> => {
    await assert.rejects(athena.createRun({ input: "x" }), { code: "INVALID_ANSWER" });
    await assert.rejects(athena.getCaller(), { code: "INVALID_ANSWER" });
  };
  assert.equal((await served([endless], use, options)).length, 2);
});

test("a pause is an hour at most, so that no timer overflows", () => {
  for (const header of ["86400", "99999999999", "9".repeat(300), "Fri, 31 Dec 9999 23:59:59 GMT"]) {
    assert.equal(retryAfterMs(header), 3_600_000, header);
  }
  assert.equal(retryAfterMs("9".repeat(400)), 3_600_000);
  assert.equal(retryAfterMs("7"), 7_000);
});
