// Renders elements and components into the document, and later changes what differs.

import type { ComponentChildren, JSX } from "preact";
import { plain } from "./format";
import { Reader } from "./signals";

type Props = Readonly<Record<string, unknown>>;
type Render = (props: Props) => ComponentChildren;

/** An element or a component to show. Its children are among its properties. */
interface Item {
  readonly type: string | Render;
  readonly props: Props;
  readonly key: unknown;
}

/** Its children stand in its place. */
export const Fragment = ({ children }: { children?: ComponentChildren }): JSX.Element => children as JSX.Element;

/** Return an element or a component to show: what JSX stands for. */
export function h(type: unknown, given: object | null, ...children: readonly ComponentChildren[]): JSX.Element {
  const { key, ...props } = { ...given } as Props;
  const of = children.length > 1 ? children : children[0];
  return { type, props: children.length ? { ...props, children: of } : props, key } as unknown as JSX.Element;
}

/** An item or a text in the document, with what stands in it. A place without content is `undefined`. */
interface Shown {
  of: Item | string;
  readonly parent: Shown | undefined;
  /** The node of an element or a text. */
  readonly node?: Element | Text;
  readonly component?: Component;
  children: readonly (Shown | undefined)[];
}

/** The nodes of an item or a text, in their order. */
const nodesOf = (shown: Shown | undefined): readonly Node[] => (shown?.node ? [shown.node] : (shown?.children ?? []).flatMap(nodesOf));

/** Return the child as an item or a text; undefined shows nothing. The items of a list stand in a fragment. */
function itemOf(child: unknown): Item | string | undefined {
  if (child === undefined || child === null || typeof child === "boolean") return undefined;
  if (Array.isArray(child)) return { type: Fragment as Render, props: { children: child }, key: undefined };
  return typeof child === "object" ? (child as Item) : plain(String(child));
}

const typeOf = (of: Item | string): unknown => (typeof of === "string" ? undefined : of.type);
const keyOf = (of: Item | string): unknown => (typeof of === "string" ? undefined : of.key);
const isSame = (shown: Shown | undefined, next: Item | string): boolean => !!shown && typeOf(shown.of) === typeOf(next) && keyOf(shown.of) === keyOf(next);

/** Show other children. `inside` is the element that the nodes are to stand in. */
function showChildren(parent: Shown, children: readonly unknown[], inside: Element): void {
  const left = new Set(parent.children);
  const byKey = new Map<unknown, Shown>();
  for (const had of parent.children) if (had && keyOf(had.of) !== undefined) byKey.set(keyOf(had.of), had);
  const found = children.map((child, index) => {
    const next = itemOf(child);
    if (next === undefined) return undefined;
    const had = [keyOf(next) === undefined ? parent.children[index] : byKey.get(keyOf(next))].find((one) => left.has(one) && isSame(one, next));
    left.delete(had);
    return [had, next] as const;
  });
  for (const had of left) remove(had);
  parent.children = found.map((one) => one && show(one[0], one[1], parent, inside));
}

/** Show an item or a text, in place of one of the same kind or newly. */
function show(had: Shown | undefined, next: Item | string, parent: Shown, inside: Element): Shown {
  if (had?.of === next) return had;
  if (typeof next === "string") {
    if (had) (had.node as Text).data = next;
    return Object.assign(had ?? { parent, node: document.createTextNode(next), children: [] }, { of: next });
  }
  const { type, props } = next;
  if (typeof type === "string") return showElement(had, next, parent, inside);
  const shown: Shown = had ?? { of: next, parent, children: [], ...(type !== Fragment && { component: new Component(type) }) };
  shown.of = next;
  if (shown.component) shown.component.show(shown, props, inside);
  else showChildren(shown, listOf(props.children), inside);
  return shown;
}

const listOf = (children: unknown): readonly unknown[] => (Array.isArray(children) ? children : [children]);

const SVG = "http://www.w3.org/2000/svg";

function showElement(had: Shown | undefined, next: Item, parent: Shown, inside: Element): Shown {
  const { type, props } = next as { type: string; props: Props };
  const before = (had?.of as Item | undefined)?.props ?? {};
  const isSvg = type === "svg" || inside.namespaceURI === SVG;
  const node = (had?.node ?? (isSvg ? document.createElementNS(SVG, type) : document.createElement(type))) as HTMLInputElement;
  const shown: Shown = had ?? { of: next, parent, node, children: [] };
  shown.of = next;
  for (const name in { ...before, ...props })
    if (before[name] !== props[name] && name !== "children" && !LATE.includes(name)) set(node, name, props[name], before[name]);
  showChildren(shown, listOf(props.children), node);
  place(node, shown.children.flatMap(nodesOf), null);
  for (const name of LATE) {
    const value = props[name];
    if (value !== undefined && (type === "option" ? before[name] !== value : String(node[name as "value"]) !== String(value)))
      node[name as "value"] = value as string;
  }
  return shown;
}

/** Properties of an element that people change, too: they depend on its children and its other properties. */
const LATE = ["value", "checked"];
/** Names that are properties of elements, but to be set as attributes. */
const ATTRIBUTES = ["list", "form", "width", "height", "href", "role", "download", "popover", "tabIndex", "colSpan", "rowSpan"];

function set(node: HTMLElement, name: string, value: unknown, before: unknown): void {
  if (name === "ref") {
    if (value) (value as { current: unknown }).current = node;
  } else if (name === "style") {
    Object.assign(node.style, Object.fromEntries(Object.keys((before ?? {}) as object).map((one) => [one, ""])), value);
  } else if (name.startsWith("on")) listen(node, name.slice(2).toLowerCase(), value as Handler | undefined);
  else if (node.namespaceURI !== SVG && name in node && !ATTRIBUTES.includes(name))
    Object.assign(node, { [name]: name === "title" ? plain(String(value ?? "")) : (value ?? "") });
  else if (value === undefined || value === null || (value === false && name[4] !== "-")) node.removeAttribute(name);
  else node.setAttribute(name, value === true && name[4] !== "-" ? "" : String(value));
}

type Handler = (event: Event) => void;

/** The handlers of an element by the type of their events, each with the number of events before it. */
const handlers = new WeakMap<EventTarget, Record<string, { handler: Handler | undefined; since: number }>>();
/** The number of each event that has begun. */
const numbers = new WeakMap<Event, number>();
let events = 0;

function listen(node: Element, type: string, handler: Handler | undefined): void {
  const known = handlers.get(node) ?? {};
  handlers.set(node, known);
  if (!known[type]) node.addEventListener(type, handle);
  known[type] = { handler, since: known[type]?.handler ? known[type].since : events };
}

/** Call the handler of an event, unless it was set after the event had begun. */
function handle(this: EventTarget, event: Event): void {
  const number = numbers.get(event) ?? events++;
  numbers.set(event, number);
  const { handler, since } = handlers.get(this)?.[event.type] ?? { handler: undefined, since: 0 };
  if (number >= since) handler?.call(this, event);
}

/** Put the nodes in their order before a node, or at the end of the element. */
function place(inside: Element, nodes: readonly Node[], before: Node | null): void {
  for (const node of nodes.toReversed()) {
    if (node.parentNode !== inside || node.nextSibling !== before) inside.insertBefore(node, before);
    before = node;
  }
}

/** Return the node after an item or a text, in the element that it stands in. */
function nodeAfter(shown: Shown): Node | null {
  const { parent } = shown;
  if (!parent) return null;
  const [next] = parent.children.slice(parent.children.indexOf(shown) + 1).flatMap(nodesOf);
  return next ?? (parent.node ? null : nodeAfter(parent));
}

function elementAround({ parent }: Shown): Element {
  return (parent?.node as Element | undefined) ?? elementAround(parent as Shown);
}

/** Take an item or a text out of the document. */
function remove(shown: Shown | undefined): void {
  if (!shown) return;
  const nodes = nodesOf(shown);
  end(shown);
  for (const node of nodes) (node as Element).remove();
}

function end({ of, component, children }: Shown): void {
  component?.end();
  const { ref } = (typeof of === "string" ? {} : of.props) as { ref?: { current: unknown } };
  if (ref) ref.current = null;
  for (const child of children) if (child) end(child);
}

// Components

/** The component that renders now, and the number of the next value that it uses. */
export const now: { component: Component; place: number } = { component: undefined as unknown as Component, place: 0 };

/** The components that are to render again, and the effects of those that have. */
const waiting = new Set<Component>();
let isPlanned = false;
const effects: (() => void)[] = [];

/** What a function shows, with the values that it uses over its renders. */
export class Component {
  readonly slots: { value: unknown; of: readonly unknown[] }[] = [];
  /** The effects of the last render, and what ends those before. */
  effects: (() => void)[] = [];
  readonly ends: { current: (() => void) | undefined }[] = [];
  #shown: Shown | undefined;
  #props: Props = {};
  readonly #render: Render;
  readonly #reader = new Reader(() => {
    waiting.add(this);
    if (!isPlanned) queueMicrotask(renderWaiting);
    isPlanned = true;
  });

  constructor(render: Render) {
    this.#render = render;
  }

  get depth(): number {
    let depth = 0;
    for (let one = this.#shown; one; one = one.parent) depth++;
    return depth;
  }

  /** Show it with properties. One that reads signals renders only if they or its properties have changed. */
  show(shown: Shown, props: Props, inside: Element): void {
    const had = this.#props;
    const isFirst = !this.#shown;
    this.#shown = shown;
    this.#props = props;
    const changed = this.#reader.isMarked || !this.#reader.reads || Object.keys({ ...had, ...props }).some((name) => had[name] !== props[name]);
    if (isFirst || changed) this.#run(inside);
  }

  #run(inside: Element): void {
    waiting.delete(this);
    now.component = this;
    now.place = 0;
    const found = this.#reader.run(() => this.#render(this.#props));
    showChildren(this.#shown as Shown, [found], inside);
    effects.push(...this.effects.splice(0));
  }

  /** Render it where it stands. */
  again(): void {
    const shown = this.#shown as Shown;
    const inside = elementAround(shown);
    this.#run(inside);
    place(inside, nodesOf(shown), nodeAfter(shown));
  }

  end(): void {
    waiting.delete(this);
    this.#reader.close();
    for (const { current } of this.ends) current?.();
  }
}

function renderWaiting(): void {
  isPlanned = false;
  for (const component of [...waiting].sort((one, other) => one.depth - other.depth)) if (waiting.has(component)) component.again();
  for (const act of effects.splice(0)) act();
}

/** Show an element in an empty one of the document. */
export function render(element: JSX.Element, node: Element): void {
  const root: Shown = { of: "", parent: undefined, node, children: [] };
  showChildren(root, [element], node);
  place(node, root.children.flatMap(nodesOf), null);
  renderWaiting();
}
