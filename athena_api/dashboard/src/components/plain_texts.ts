// No text on a page has a control of writing direction: with one it may look like another text.

import { type ComponentChildren, Fragment, options } from "preact";
import { plain } from "../format";

const shown = (child: ComponentChildren): ComponentChildren => (typeof child === "string" ? plain(child) : Array.isArray(child) ? child.map(shown) : child);

const before = options.vnode;

options.vnode = (vnode) => {
  const { type, props } = vnode as { readonly type: unknown; readonly props: { children?: ComponentChildren; title?: unknown } };
  if (typeof type === "string" || type === Fragment) {
    props.children &&= shown(props.children);
    if (typeof props.title === "string") props.title = plain(props.title);
  }
  before?.(vnode);
};
