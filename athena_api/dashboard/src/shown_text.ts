// Whatever a page shows: no text changes the direction of the text around it.

import { options, type VNode } from "preact";
import { plain } from "./format";

const before = options.vnode;

options.vnode = (node: VNode): void => {
  const { type, props } = node as unknown as { type: unknown; props: string | { title?: unknown } };
  if (typeof props === "string") Object.assign(node, { props: plain(props) });
  else if (typeof type === "string" && typeof props.title === "string") props.title = plain(props.title);
  before?.(node);
};
