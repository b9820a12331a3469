import assert from "node:assert/strict";
import { test } from "node:test";
import { h, options, type VNode } from "preact";
import "./shown_text";

test("a direction of writing is shown as its code point, in texts and titles", () => {
  const text = { type: null, props: "a\u202eb" } as unknown as VNode;
  options.vnode?.(text);
  assert.equal(text.props, "a[U+202E]b");
  assert.deepEqual(h("p", { title: "a\u202eb", lang: "en" }).props, { title: "a[U+202E]b", lang: "en" });
});
