// Components: functions that use values over their renders, and render again once a signal changes that they have read.

import type { RefObject } from "preact";
import { now } from "./render";
import { type Signal, signal } from "./signals";

type Dependencies = readonly unknown[];

// What a component uses: in each render the same, in the same order

/** Use a value that is made again if one of the dependencies is another one. */
export function useMemo<T>(make: () => T, of: Dependencies): T {
  const { slots } = now.component;
  const index = now.place++;
  const had = slots[index];
  if (had && of.every((one, at) => one === had.of[at])) return had.value as T;
  const value = make();
  slots[index] = { value, of };
  return value;
}

export function useRef<T>(value: T): { current: T };
export function useRef<T>(value: T | null): RefObject<T>;
export function useRef<T>(value: T): { current: T } {
  return useMemo(() => ({ current: value }), []);
}

export const useSignal = <T>(value: T): Signal<T> => useMemo(() => signal(value), []);

type Next<T> = T | ((had: T) => T);

/** Use a value, and the function that sets it. */
export function useState<T>(initial: T | (() => T)): [T, (next: Next<T>) => void];
export function useState<T>(): [T | undefined, (next: Next<T | undefined>) => void];
export function useState<T>(initial?: T | (() => T)): [T, (next: Next<T>) => void] {
  const of = useMemo(() => signal(initial instanceof Function ? initial() : (initial as T)), []);
  return [of.value, (next) => (of.value = next instanceof Function ? next(of.peek()) : next)];
}

/** Act once the document shows the render, if one of the dependencies is another one. What it returns is called before it acts again, and at the end. */
export function useEffect(act: () => unknown, of: Dependencies): void {
  const { component } = now;
  const end = useMemo(() => {
    const made: { current: (() => void) | undefined } = { current: undefined };
    component.ends.push(made);
    return made;
  }, []);
  useMemo(() => {
    component.effects.push(() => {
      end.current?.();
      const next = act();
      end.current = next instanceof Function ? () => next() : undefined;
    });
  }, of);
}
