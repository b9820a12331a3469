import { equal } from "node:assert/strict";
import { test } from "node:test";
import { distance } from "../format";
import { offset } from "./clock";

const at = (ms: number): string => new Date(ms).toISOString();

test("a server whose time lies within the request needs no correction", () => {
  equal(offset(at(1_050), 1_000, 1_100), 0);
});

test("a machine that is ahead of the server is corrected by the middle of the request", () => {
  equal(offset(at(1_000), 61_000, 61_100), 60_050);
  equal(offset(at(61_050), 1_000, 1_100), -60_000);
});

test("a past time is never in the future", () => {
  equal(distance(at(5_000), 4_000), "0 s ago");
  equal(distance(at(5_000), 8_000), "3 s ago");
});

test("an upcoming time is ahead until it has come", () => {
  equal(distance(at(45_000), 5_000, true), "in 40 s");
  equal(distance(at(5_000), 8_000, true), "3 s ago");
});
