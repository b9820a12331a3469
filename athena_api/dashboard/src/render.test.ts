import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { ComponentChildren } from "preact";
import { useEffect, useSignal, useState } from "./component";
import { Fragment, h, render } from "./render";
import { type Signal, signal } from "./signals";

/** As much of a document as the renderer needs. */
class FakeNode extends EventTarget {
  parentNode: FakeNode | null = null;
  children: FakeNode[] = [];
  moves = 0;
  value = "";
  readonly namespaceURI = "html";
  readonly attributes = new Map<string, string>();

  constructor(
    readonly name: string,
    public data = "",
  ) {
    super();
  }

  get nextSibling(): FakeNode | null {
    const all = this.parentNode?.children ?? [];
    return all[all.indexOf(this) + 1] ?? null;
  }

  insertBefore(node: FakeNode, before: FakeNode | null): void {
    node.remove();
    node.moves++;
    this.children.splice(before ? this.children.indexOf(before) : this.children.length, 0, node);
    node.parentNode = this;
  }

  remove(): void {
    this.parentNode?.children.splice(this.parentNode.children.indexOf(this), 1);
    this.parentNode = null;
  }

  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }

  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }

  override toString(): string {
    if (this.name === "#text") return this.data;
    const names = [...this.attributes].map(([name, value]) => ` ${name}=${value}`).join("");
    return `<${this.name}${names}>${this.children.join("")}</${this.name}>`;
  }
}

Object.assign(globalThis, {
  document: { createElement: (name: string) => new FakeNode(name), createTextNode: (text: string) => new FakeNode("#text", text) },
});

const rendered = (): Promise<void> => new Promise((done) => setTimeout(done, 0));

/** Show children that a signal holds. Return the root. */
function shown(children: Signal<ComponentChildren>): FakeNode {
  const root = new FakeNode("root");
  render(
    h(() => h(Fragment, null, children.value), null),
    root as unknown as Element,
  );
  return root;
}

const item = (key: string): ComponentChildren => h("li", { key }, key);

test("items with keys keep their elements, in any order", async () => {
  const keys = signal<ComponentChildren>("abcd".split("").map(item));
  const root = shown(keys);
  equal(root.children.join(""), "<li>a</li><li>b</li><li>c</li><li>d</li>");
  const before = new Map(root.children.map((node) => [String(node), node]));
  for (const order of ["dbca", "xab", "bax", "", "cd", "abcdefgh", "hgfedcba", "aceg"]) {
    const had = new Map(root.children.map((node) => [String(node), node]));
    keys.value = order.split("").map(item);
    await rendered();
    equal(root.children.join(""), order.replace(/./g, "<li>$&</li>"));
    for (const node of root.children) if (had.has(String(node))) equal(node, had.get(String(node)));
  }
  equal(before.size, 4);
});

test("an item before the others, or one fewer, moves none", async () => {
  const keys = signal<ComponentChildren>("abc".split("").map(item));
  const root = shown(keys);
  keys.value = "zabc".split("").map(item);
  await rendered();
  keys.value = "zac".split("").map(item);
  await rendered();
  deepEqual(
    root.children.map(({ moves }) => moves),
    [1, 1, 1],
  );
});

test("a child that shows nothing keeps its place between others", async () => {
  const [first, last] = [signal(false), signal(true)];
  const root = new FakeNode("root");
  const Maybe = ({ of, text }: { of: Signal<boolean>; text: string }) => (of.value ? h(Fragment, null, h("b", null, text), text) : (null as never));
  render(
    h("p", null, h(Maybe, { of: first, text: "1" }), [h("i", { key: "x" })], 0, false, h(Maybe, { of: last, text: "2" }), "end"),
    root as unknown as Element,
  );
  equal(root.children.join(""), "<p><i></i>0<b>2</b>2end</p>");
  first.value = true;
  await rendered();
  equal(root.children.join(""), "<p><b>1</b>1<i></i>0<b>2</b>2end</p>");
  last.value = false;
  await rendered();
  equal(root.children.join(""), "<p><b>1</b>1<i></i>0end</p>");
});

test("attributes follow, and absent ones are removed", async () => {
  const props = signal<object>({ class: "a", "aria-hidden": false, "data-x": true, download: true });
  const root = shown(signal<ComponentChildren>(h(() => h("a", props.value), null)));
  equal(root.children.join(""), "<a class=a aria-hidden=false data-x=true download=></a>");
  props.value = { class: undefined, "aria-hidden": undefined, href: "#" };
  await rendered();
  equal(root.children.join(""), "<a href=#></a>");
});

test("a component renders again with its state, and its effects follow their dependencies", async () => {
  const log: string[] = [];
  const key = signal("a");
  let set: (value: number) => void = () => undefined;
  function Counter({ name }: { name: string }) {
    const [value, setValue] = useState(1);
    set = setValue;
    useEffect(() => {
      log.push(`${name}${value}`);
      return () => log.push(`end ${name}${value}`);
    }, [value]);
    return h("b", null, value);
  }
  const root = new FakeNode("root");
  render(
    h(() => h(Counter, { key: key.value, name: key.value }), null),
    root as unknown as Element,
  );
  set(2);
  set(2);
  await rendered();
  equal(root.children.join(""), "<b>2</b>");
  key.value = "z";
  await rendered();
  equal(root.children.join(""), "<b>1</b>");
  deepEqual(log, ["a1", "end a1", "a2", "end a2", "z1"]);
});

test("a component that one before it in line marks renders, too", async () => {
  const [one, other] = [signal(1), signal(1)];
  const Second = () => h("i", null, other.value);
  function First() {
    const seen = useSignal(0);
    if (seen.peek() !== one.value) {
      seen.value = one.value;
      other.value = one.value * 10;
    }
    return h("b", null, one.value);
  }
  const root = new FakeNode("root");
  render(h("p", null, h(First, null), h(Second, null)), root as unknown as Element);
  one.value = 2;
  await rendered();
  equal(root.children.join(""), "<p><b>2</b><i>20</i></p>");
  other.value = 5;
  await rendered();
  equal(root.children.join(""), "<p><b>2</b><i>5</i></p>");
});

test("a handler that is set while an event is on its way does not get it", async () => {
  const on = signal(false);
  const seen: string[] = [];
  const root = shown(
    signal<ComponentChildren>(h(() => h("p", on.value ? { onClick: () => seen.push("outer") } : {}, h("b", { onClick: () => (on.value = true) })), null)),
  );
  const [outer] = root.children as [FakeNode];
  const event = new Event("click");
  outer.children[0]?.dispatchEvent(event);
  await rendered();
  outer.dispatchEvent(event); // it bubbles
  deepEqual(seen, []);
  outer.dispatchEvent(new Event("click"));
  deepEqual(seen, ["outer"]);
});
