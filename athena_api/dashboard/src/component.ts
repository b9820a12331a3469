// Components: functions that use values over their renders, and render again once a signal changes that they have read.

import { Component, type ComponentClass, Fragment, type FunctionComponent, type JSX, options, type RefObject } from "preact";
import { Reader, type Signal, signal } from "./signals";

type Dependencies = readonly unknown[];

/** The component that renders now, and the number of the next value that it uses. */
let rendering: Rendered;
let place = 0;

/** The component of a function. */
abstract class Rendered extends Component<object> {
  readonly slots: { value: unknown; of: Dependencies }[] = [];
  /** The effects of the last render, and what ends those before. */
  effects: (() => void)[] = [];
  readonly ends: { current: (() => void) | undefined }[] = [];
  readonly #reader = new Reader(() => this.setState({}));

  protected abstract of(props: object): JSX.Element;

  override render(props: object): JSX.Element {
    rendering = this;
    place = 0;
    return this.#reader.run(() => this.of(props));
  }

  /** One that reads signals renders again if they or its properties change, else with its parent. */
  override shouldComponentUpdate(next: Readonly<Record<string, unknown>>): boolean {
    const had: typeof next = { ...this.props };
    return this.#reader.isMarked || !this.#reader.reads || Object.keys({ ...had, ...next }).some((name) => had[name] !== next[name]);
  }

  override componentDidMount(): void {
    for (const act of this.effects.splice(0)) act();
  }

  override componentDidUpdate(): void {
    this.componentDidMount();
  }

  override componentWillUnmount(): void {
    this.#reader.close();
    for (const { current } of this.ends) current?.();
  }
}

const classes = new Map<unknown, ComponentClass<object>>();

options.vnode = (node) => {
  const { type } = node;
  if (typeof type !== "function" || type === Fragment || type.prototype?.render) return;
  const render = type as FunctionComponent<object>;
  const found =
    classes.get(type) ??
    class extends Rendered {
      protected override of(props: object): JSX.Element {
        return render(props) as JSX.Element;
      }
    };
  classes.set(type, found);
  node.type = found as typeof type;
};

// What a component uses: in each render the same, in the same order

/** Use a value that is made again if one of the dependencies is another one. */
export function useMemo<T>(make: () => T, of: Dependencies): T {
  const { slots } = rendering;
  const index = place++;
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
  const component = rendering;
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
