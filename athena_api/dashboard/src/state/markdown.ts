// Markdown as models write it, read into a tree of a few elements. Everything else, HTML included, stays text.

export type Tag = "p" | "h3" | "pre" | "code" | "hr" | "blockquote" | "ul" | "ol" | "li" | "table" | "tr" | "th" | "td" | "strong" | "em" | "del" | "a";

/** A text, or an element. */
export type Node = string | MarkdownElement;

export interface MarkdownElement {
  readonly tag: Tag;
  readonly of: readonly Node[];
  /** The address of a link: http or https. */
  readonly href?: string;
  /** The level of a heading, or the first number of a list. */
  readonly number?: number;
}

const CHARS_MAX = 50_000;
const NODES_MAX = 3_000;
const DEPTH_MAX = 6;
const COLUMNS_MAX = 60;

const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:\s+(.*))?$/;
const DELIMITER = /^[\s|:-]*-[\s|:-]*$/;

// A span is short, so that reading a hostile text takes time in proportion to its length.
const INLINE = new RegExp(
  [
    String.raw`\\(?<escaped>[!-/:-@[-${"`"}{-~])`,
    String.raw`(?<!${"`"})(?<ticks>${"`"}{1,3})(?!${"`"})(?<code>.{1,500}?)(?<!${"`"})\k<ticks>(?!${"`"})`,
    String.raw`!?\[(?<label>[^\]\n]{0,300})\]\((?<target>[^()\s]{1,1000})(?:\s+"[^"\n]{0,200}")?\)`,
    String.raw`(?<bare>https?://[^\s<>"'${"`"}\]]{0,1000}[^\s<>"'${"`"}\].,;:!?)*_~])`,
    String.raw`\*\*(?=\S)(?<strong>.{0,500}?\S)\*\*`,
    String.raw`(?<!\w)__(?=\S)(?<strong2>.{0,500}?\S)__(?!\w)`,
    String.raw`\*(?=[^\s*])(?<em>.{0,500}?[^\s*])\*(?!\*)`,
    String.raw`(?<!\w)_(?=[^\s_])(?<em2>.{0,500}?[^\s_])_(?!\w)`,
    String.raw`~~(?=\S)(?<del>.{0,500}?\S)~~`,
  ].join("|"),
  "gs",
);

/** Read a text. Return undefined for one that is too long to be read as Markdown. */
export function readMarkdown(text: string): readonly Node[] | undefined {
  return text.length > CHARS_MAX ? undefined : new Reader().blocks(text.split(/\r?\n/), 0);
}

/** Return an address that a link may open. Only http and https, never a script. */
export function safeHref(target: string): string | undefined {
  try {
    const { protocol, href } = new URL(target);
    return protocol === "https:" || protocol === "http:" ? href : undefined;
  } catch {
    return undefined;
  }
}

const begins = (line: string): boolean => !line.trim() || [FENCE, HEADING, RULE, QUOTE, ITEM].some((form) => form.test(line));

/** Return the cells of a row. The last one has the rest. */
function cells(row: string): readonly string[] {
  const inner = row.trim().replace(/^\||(?<!\\)\|$/g, "");
  const found = inner.split(/(?<!\\)\|/);
  return [...found.slice(0, COLUMNS_MAX - 1), ...(found.length < COLUMNS_MAX ? [] : [found.slice(COLUMNS_MAX - 1).join("|")])].map((cell) =>
    cell.trim().replaceAll("\\|", "|"),
  );
}

class Reader {
  #left = NODES_MAX;

  /** Read lines into blocks. Beyond the depth or the number of nodes, they are one text. */
  blocks(lines: readonly string[], depth: number): readonly Node[] {
    const found: Node[] = [];
    for (let at = 0; at < lines.length; ) {
      const line = lines[at] ?? "";
      if (!line.trim()) {
        at++;
        continue;
      }
      if (depth > DEPTH_MAX || this.#left <= 0) return [...found, { tag: "p", of: [lines.slice(at).join("\n")] }];
      this.#left--;
      const [block, end] = this.#block(lines, at, depth);
      found.push(block);
      at = end;
    }
    return found;
  }

  /** Read the block at an index. Return it, and the index after it. */
  #block(lines: readonly string[], at: number, depth: number): readonly [Node, number] {
    const line = lines[at] ?? "";
    const fence = FENCE.exec(line);
    if (fence) return fenced(lines, at, fence[1] ?? "");
    const heading = HEADING.exec(line);
    if (heading) return [{ tag: "h3", of: this.#inline(heading[2] ?? ""), number: heading[1]?.length ?? 1 }, at + 1];
    if (RULE.test(line)) return [{ tag: "hr", of: [] }, at + 1];
    let end = at + 1;
    if (QUOTE.test(line)) {
      while (QUOTE.test(lines[end] ?? "")) end++;
      const inner = lines.slice(at, end).map((one) => one.replace(QUOTE, ""));
      return [{ tag: "blockquote", of: this.blocks(inner, depth + 1) }, end];
    }
    if (ITEM.test(line)) return this.#list(lines, at, depth);
    if (line.includes("|") && DELIMITER.test(lines[end] ?? "") && (lines[end] ?? "").includes("|")) return this.#table(lines, at);
    while (end < lines.length && !begins(lines[end] ?? "")) end++;
    return [{ tag: "p", of: this.#inline(lines.slice(at, end).join("\n")) }, end];
  }

  #list(lines: readonly string[], at: number, depth: number): readonly [Node, number] {
    const [, indent = "", mark = ""] = ITEM.exec(lines[at] ?? "") ?? [];
    const ordered = /\d/.test(mark);
    const inside = indent.length + 2; // the least indentation of what belongs to an item
    const items: string[][] = [];
    let end = at;
    for (; end < lines.length; end++) {
      const line = lines[end] ?? "";
      const item = ITEM.exec(line);
      const column = line.search(/\S/);
      const last = items.at(-1);
      if (item && column < inside) {
        if (column < indent.length || /\d/.test(item[2] ?? "") !== ordered) break;
        items.push([(item[3] ?? "").replace(/^\[([ x])\] /i, (_, done: string) => (done === " " ? "☐ " : "☑ "))]);
      } else if (last && column >= 0 && column < inside) {
        if (!lines[end - 1]?.trim() || begins(line)) break;
        last.push(line);
      } else last?.push(line.slice(Math.min(Math.max(column, 0), indent.length + mark.length + 1)));
    }
    const of = items.map((item): Node => ({ tag: "li", of: this.blocks(item, depth + 1) }));
    return [{ tag: ordered ? "ol" : "ul", of, ...(ordered && { number: Number.parseInt(mark, 10) }) }, end];
  }

  #table(lines: readonly string[], at: number): readonly [Node, number] {
    const row = (line: string, tag: "th" | "td"): Node => {
      const found = cells(line);
      this.#left -= found.length;
      return { tag: "tr", of: found.map((cell): Node => ({ tag, of: this.#inline(cell) })) };
    };
    const rows = [row(lines[at] ?? "", "th")];
    let end = at + 2;
    while ((lines[end] ?? "").includes("|") && this.#left > 0) rows.push(row(lines[end++] ?? "", "td"));
    return [{ tag: "table", of: rows }, end];
  }

  /** Read the spans of a text. */
  #inline(text: string, depth = 0): readonly Node[] {
    const found: Node[] = [];
    let from = 0;
    if (depth < DEPTH_MAX)
      for (const match of text.matchAll(INLINE)) {
        if (this.#left-- <= 0) break;
        found.push(text.slice(from, match.index), this.#span(match[0], match.groups ?? {}, depth));
        from = match.index + match[0].length;
      }
    return [...found, text.slice(from)].filter((node) => node !== "");
  }

  #span(whole: string, groups: Readonly<Record<string, string | undefined>>, depth: number): Node {
    const { escaped, code, label, target, strong = groups.strong2, em = groups.em2, del } = groups;
    const within = (tag: Tag, text: string): Node => ({ tag, of: this.#inline(text, depth + 1) });
    if (escaped) return escaped;
    if (code !== undefined) return { tag: "code", of: [code.replace(/^ (.+) $/s, "$1")] };
    if (strong !== undefined) return within("strong", strong);
    if (em !== undefined) return within("em", em);
    if (del !== undefined) return within("del", del);
    return target === undefined ? link(whole, whole, whole) : link(target, label || target, whole);
  }
}

/** Return a link with the name of its host, unless its text shows it; else the text as it was written. */
function link(target: string, label: string, whole: string): Node {
  const href = safeHref(target);
  if (!href) return whole;
  const { host } = new URL(href);
  return { tag: "a", of: [target, host].includes(label) ? [label] : [label, ` (${host})`], href };
}

function fenced(lines: readonly string[], at: number, mark: string): readonly [Node, number] {
  let end = at + 1;
  while (end < lines.length && !((lines[end] ?? "").trim().startsWith(mark) && /^[`~\s]*$/.test(lines[end] ?? ""))) end++;
  return [{ tag: "pre", of: [{ tag: "code", of: [lines.slice(at + 1, end).join("\n")] }] }, end + 1];
}
