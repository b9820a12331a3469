import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Operation } from "@projectathena/client";
import { bodyOf, changesOf, type Document, emptyOf, known, labelOf, withMember } from "./schema";

const DOCUMENT: Document = {
  paths: {
    "/api/v1/tea": {
      post: {
        operationId: "makeTea",
        description: "Make tea.",
        requestBody: { content: { "application/json": { schema: { oneOf: [{ type: "string" }, { $ref: "#/components/schemas/Tea" }] } } } },
      },
    },
  },
  components: {
    schemas: {
      Tea: {
        type: "object",
        properties: {
          leaf: { $ref: "#/components/schemas/Leaf", description: "Which leaf." },
          sugar: { type: "array", items: { type: "string" } },
          cup: { type: "object", properties: { size: { type: "integer" } }, required: ["size"] },
        },
        required: ["leaf", "sugar", "cup"],
      },
      Leaf: { type: "string", enum: ["green", "black"], description: "A leaf." },
    },
  },
};
const MAKE: Operation<unknown> = { id: "makeTea", method: "POST", path: "/tea", command: "tea make" };

test("the body of an operation is the last of its forms, without references", () => {
  const { about, schema } = bodyOf(DOCUMENT, MAKE);
  equal(about, "Make tea.");
  deepEqual(Object.keys(schema.properties ?? {}), ["leaf", "sugar", "cup"]);
});

test("a list that needs an item begins with one", () => {
  const step = { type: "object", properties: { id: { type: "string" } }, required: ["id"] };
  deepEqual(emptyOf(DOCUMENT, { type: "array", items: step, minItems: 1 }), [{}]);
  deepEqual(emptyOf(DOCUMENT, { type: "array", items: { type: "string" }, minItems: 1 }), [null]);
});

test("an operation that the document does not have has an empty body", () => {
  deepEqual(bodyOf(DOCUMENT, { ...MAKE, id: "makeCoffee" }), { about: "", schema: {} });
});

test("a new value has its required members, empty", () => {
  deepEqual(emptyOf(DOCUMENT, { $ref: "#/components/schemas/Tea" }), { sugar: [], cup: {} });
});

test("a changed member keeps its place, and an undefined one is removed", () => {
  deepEqual(JSON.stringify(withMember({ a: 1, b: 2 }, "a", 3)), '{"a":3,"b":2}');
  deepEqual(withMember({ a: 1, b: 2 }, "a", undefined), { b: 2 });
  deepEqual(withMember({ a: 1 }, "c", false), { a: 1, c: false });
});

test("only members that the schema has are sent back, without null", () => {
  deepEqual(known({ properties: { a: {}, b: {} } }, { a: 1, b: null, c: 2 }), { a: 1 });
});

test("two documents differ in their leaves", () => {
  const before = { max: 8, limits: [{ scope: "session", max: 1 }], gone: true, same: "x" };
  const after = { max: 40, limits: [{ scope: "session", max: 2 }, { scope: "agent" }], same: "x" };
  deepEqual(
    changesOf(before, after).map(({ path, before: old, after: fresh }) => [path, old, fresh]),
    [
      ["max", 8, 40],
      ["limits[0].max", 1, 2],
      ["limits[1].scope", undefined, "agent"],
      ["gone", true, undefined],
    ],
  );
});

test("a document that was not there before differs in all its leaves, and an empty one as a whole", () => {
  deepEqual(changesOf(undefined, { a: 1 }), [{ path: "a", before: undefined, after: 1 }]);
  deepEqual(changesOf(undefined, {}), [{ path: "", before: undefined, after: {} }]);
  deepEqual(changesOf({ a: [1] }, { a: [1] }), []);
});

test("names of members become labels", () => {
  const labels = ["budgetUsd", "timeoutMs", "harnessProfileId", "toolPolicies", "supportsA2ABus", "jsonDepthMax"].map((name) => labelOf(name));
  deepEqual(labels, ["Budget (USD)", "Timeout (ms)", "Agent (profile)", "Tool policies", "Supports A2A bus", "Max JSON depth"]);
  deepEqual([labelOf("catchUpWindowSeconds"), labelOf("catchUpWindowSeconds", true)], ["Catch up window (seconds)", "Catch up window"]);
  deepEqual([labelOf("timeoutMs", true), labelOf("budgetUsd", true)], ["Timeout", "Budget (USD)"]);
});
