// A part of the address that changes often, such as the position of a slider.

import { effect, type Signal, useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { filter, route } from "../route";

const REST_MS = 250; // browsers limit how often the address may change

/** A filter of the page. A new value holds at once; the address gets it when it has not changed for a moment. */
export interface AddressPart {
  readonly value: Signal<string | undefined>;
  readonly set: (value: string | undefined) => void;
}

export function useAddress(name: string): AddressPart {
  const value = useSignal(route.peek().filters[name]);
  const timer = useRef<number | undefined>(undefined);
  useLayoutEffect(() => {
    const stop = effect(() => {
      const given = route.value.filters[name];
      if (timer.current === undefined) value.value = given;
    });
    return () => {
      stop();
      clearTimeout(timer.current);
    };
  }, []);
  const set = (next: string | undefined): void => {
    value.value = next;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      timer.current = undefined;
      filter({ [name]: next });
    }, REST_MS);
  };
  return { value, set };
}
