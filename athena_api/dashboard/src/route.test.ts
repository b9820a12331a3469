import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { filtersOf, unknownFilters } from "./route";

const unknown = (page: string, query: string, id?: string): readonly string[] => unknownFilters({ page, id, filters: filtersOf(page, query) });

test("a word of the command line stands for the filter of a page", () => {
  deepEqual(filtersOf("runs", "session=pr-311&status=failed"), { sessionId: "pr-311", status: "failed" });
  deepEqual(filtersOf("events", "run=run_1&type=run.failed"), { runId: "run_1", types: "run.failed" });
});

test("a filter that the page does not have is unknown", () => {
  deepEqual(unknown("runs", "run=run_1&modle=gpt&session=a"), ["run", "modle"]);
  deepEqual(unknown("runs", "status=failed&step=3&compare=run_2", "run_1"), ["status"]);
  deepEqual(unknown("letters", "status=pending", "dlq_1"), []);
  deepEqual(unknown("system", "a=b"), ["a"]);
});

test("the moment is on every page, and a filter of none", () => {
  deepEqual(filtersOf("runs", "at=41&status=failed"), { status: "failed" });
  deepEqual(unknown("events", "at=2026-11-28T02:10&event=7"), []);
});
