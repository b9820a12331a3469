import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { batch, computed, effect, signal, untracked } from "./signals";

test("an effect runs again when a signal changes that it has read, and no more once it is ended", () => {
  const [one, other] = [signal(1), signal(1)];
  const seen: number[] = [];
  const stop = effect(() => void seen.push(one.value));
  one.value = 2;
  one.value = 2;
  other.value = 2;
  stop();
  one.value = 3;
  deepEqual(seen, [1, 2]);
});

test("an effect follows the signals of its last run only", () => {
  const [which, left, right] = [signal(true), signal("a"), signal("b")];
  const seen: string[] = [];
  effect(() => void seen.push(which.value ? left.value : right.value));
  right.value = "c";
  which.value = false;
  left.value = "d";
  right.value = "e";
  deepEqual(seen, ["a", "c", "e"]);
});

test("a computed signal is made again only if what it has read changed, and an effect only if its value did", () => {
  const number = signal(1);
  let made = 0;
  const odd = computed(() => {
    made++;
    return number.value % 2 === 1;
  });
  const seen: boolean[] = [];
  effect(() => void seen.push(odd.value));
  deepEqual([odd.value, odd.peek(), made], [true, true, 1]);
  number.value = 3;
  deepEqual([seen, made], [[true], 2]);
  number.value = 4;
  deepEqual([seen, made], [[true, false], 3]);
});

test("an effect of two signals made of one runs once, with both new", () => {
  const base = signal(1);
  const [twice, thrice] = [computed(() => base.value * 2), computed(() => base.value * 3)];
  const seen: number[][] = [];
  effect(() => void seen.push([twice.value, thrice.value]));
  base.value = 2;
  deepEqual(seen, [
    [2, 3],
    [4, 6],
  ]);
});

test("a computed signal without readers is current when it is read", () => {
  const base = signal(1);
  const next = computed(() => computed(() => base.value).value + 1);
  equal(next.peek(), 2);
  const stop = effect(() => void next.value);
  stop();
  base.value = 5;
  equal(next.value, 6);
});

test("a batch runs effects at its end", () => {
  const [one, other] = [signal(1), signal(1)];
  const seen: number[] = [];
  effect(() => void seen.push(one.value + other.value));
  batch(() => {
    one.value = 2;
    other.value = 2;
  });
  deepEqual(seen, [2, 4]);
});

test("an effect may change a signal, also one that it reads", () => {
  const [number, shown] = [signal(1), signal(0)];
  const seen: number[] = [];
  effect(() => {
    if (number.value < 4) number.value++;
    shown.value = number.value;
  });
  effect(() => void seen.push(shown.value));
  number.value = 2;
  deepEqual([number.value, shown.value, seen.at(-1)], [4, 4, 4]);
});

test("an effect that is ended in a batch runs no more", () => {
  const number = signal(1);
  let runs = 0;
  const stop = effect(() => {
    runs += number.value;
  });
  batch(() => {
    number.value = 5;
    stop();
  });
  equal(runs, 1);
});

test("a value that is read untracked makes nothing run again", () => {
  const [read, unread] = [signal(1), signal(1)];
  let runs = 0;
  effect(() => {
    runs++;
    void read.value;
    untracked(() => void unread.value);
  });
  unread.value = 2;
  equal(runs, 1);
});

test("an effect that throws leaves the next changes to be followed", () => {
  const number = signal(0);
  const seen: number[] = [];
  effect(() => {
    if (number.value === 1) throw new Error("once");
  });
  effect(() => void seen.push(number.value));
  try {
    number.value = 1;
  } catch {
    // thrown to the one that changed it
  }
  number.value = 2;
  equal(seen.at(-1), 2);
});
