// The parser of server-sent events.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Frame, SseParser } from "../src/sse.js";

function parsed(...chunks: string[]): Frame[] {
  const parser = new SseParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
}

const TEXT = "retry: 2000\n\nid: 1\nevent: a\ndata: x\ndata:  y\n\n: heartbeat\n\ndata\n\nid: 2\nid:a\0b\ndata:z\n\n";
const FRAMES: Frame[] = [
  { event: "a", data: "x\n y", id: "1" },
  { event: "message", data: "", id: "1" },
  { event: "message", data: "z", id: "2" },
];

test("a stream is parsed", () => assert.deepEqual(parsed(TEXT), FRAMES));

test("chunks may begin and end anywhere, and lines may end in three ways", () => {
  for (const end of ["\n", "\r\n", "\r"]) {
    const text = TEXT.replaceAll("\n", end);
    assert.deepEqual(parsed(...text), FRAMES);
    for (let first = 0; first < text.length; first++) {
      for (const second of [first, first + 1, first + 7]) {
        assert.deepEqual(parsed(text.slice(0, first), text.slice(first, second), text.slice(second)), FRAMES);
      }
    }
  }
});

test("a mixture of line ends is parsed", () => {
  assert.deepEqual(parsed("data: a\r\ndata: b\rdata: c\n\r", "\ndata: d\r\r\n"), [
    { event: "message", data: "a\nb\nc", id: undefined },
    { event: "message", data: "d", id: undefined },
  ]);
});

test("the end of a stream completes nothing", () => assert.deepEqual(parsed("data: a\n"), []));

test("a frame that is too large is refused, in one line or in many", () => {
  for (const chunk of ["x".repeat(100), "data: x\n"]) {
    const parser = new SseParser(1_000);
    parser.push(`data: ${"y".repeat(900)}\n\n`);
    assert.throws(() => {
      for (let index = 0; index < 1_000; index++) parser.push(chunk);
    }, RangeError);
  }
});

test("comments and frames without data may follow each other for as long as they like", () => {
  const parser = new SseParser(1_000);
  for (let index = 0; index < 1_000; index++) assert.deepEqual(parser.push(": heartbeat\nretry: 1\n\n"), []);
});
