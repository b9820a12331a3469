import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { parsed, resolved, written } from "./run_query";

const AGENTS = [
  { id: "hp_1", displayName: "Pear analyst" },
  { id: "hp_2", displayName: "Reviewer" },
  { id: "hp_3", displayName: "Twin" },
  { id: "hp_4", displayName: "Twin" },
];

test("words become filters, agents are found by name, and other words are left", () => {
  deepEqual(parsed('status:failed agent:"pear analyst" cost:>$0.05 yesterday x9', AGENTS), {
    filters: { status: "failed", harnessProfileId: "hp_1", costOverUsd: "0.05", since: "yesterday" },
    words: ["x9"],
  });
  deepEqual(parsed("failed agent:rev odd:1", AGENTS).filters, { status: "failed", harnessProfileId: "hp_2", odd: "1" });
});

test("the text of filters has the same filters again", () => {
  for (const filters of [{ status: "failed", harnessProfileId: "hp_1", costOverUsd: "0.05" }, { sessionId: "a b", harnessProfileId: "hp_4" }, {}])
    deepEqual(parsed(written(filters, AGENTS), AGENTS), { filters, words: [] });
  equal(written({ harnessProfileId: "hp_1" }, AGENTS), 'agent:"Pear analyst"');
});

test("since is resolved to times, in UTC or local days", () => {
  const now = Date.parse("2026-11-28T21:10:00.000Z");
  deepEqual(resolved({ since: "1h", status: "failed" }, now, true), { status: "failed", createdAfter: "2026-11-28T20:10:00.000Z" });
  deepEqual(resolved({ since: "yesterday" }, now, true), { createdAfter: "2026-11-27T00:00:00.000Z", createdBefore: "2026-11-27T23:59:59.999Z" });
  const { createdAfter = "", createdBefore = "" } = resolved({ since: "yesterday" }, now, false);
  deepEqual([new Date(createdAfter).getHours(), new Date(createdBefore).getMinutes()], [0, 59]);
  deepEqual(resolved({ since: "odd" }, now, true), {});
});
