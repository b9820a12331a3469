// Lists: an iterator over all items, page by page.

import type { Operation } from "./operation.js";
import type { RequestParts, Transport } from "./transport.js";

type Paged = { readonly nextCursor?: string | undefined };

/** A list. Iterate over it for all its items, or over `pages()`. Nothing is read before. */
export class Pages<Item, Page extends Paged> implements AsyncIterable<Item> {
  constructor(
    private readonly transport: Transport,
    private readonly operation: Operation<Page>,
    private readonly parts: RequestParts,
    private readonly itemsOf: (page: Page) => readonly Item[],
    private readonly parameter: "cursor" | "after",
  ) {}

  /** Return the first page. `nextCursor` is absent on the last one. */
  async page(): Promise<Page> {
    return (await this.transport.request(this.operation, this.parts)).data;
  }

  /** Yield the pages. */
  async *pages(): AsyncGenerator<Page, void, undefined> {
    let { parts } = this;
    for (;;) {
      const { data } = await this.transport.request(this.operation, parts);
      yield data;
      if (!data.nextCursor) return;
      parts = { ...parts, query: { ...parts.query, [this.parameter]: data.nextCursor } };
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    for await (const page of this.pages()) yield* this.itemsOf(page);
  }
}
