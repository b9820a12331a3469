// Signals: values that know what has read them.

/** The one that runs now. */
let running: Reader | undefined;
let batches = 0;
/** Effects and components that have read a value which may be another one now. */
const marked = new Set<Reader>();

/** What reads signals: an effect, a computed signal or a component. */
export class Reader {
  /** True if it may have to run again. */
  isMarked = true;
  /** The signals that it has read, with their versions. */
  private readonly sources = new Map<Signal<unknown>, number>();

  constructor(
    /** Called at the end of a batch if a value that it has read is another one. */
    readonly again: () => void,
    /** True if it is called as soon as one may be. */
    private readonly atOnce = false,
  ) {}

  /** Run, and note which signals are read. */
  run<R>(act: () => R): R {
    const [outer, before] = [running, new Set(this.sources.keys())];
    this.sources.clear();
    this.isMarked = false;
    running = this;
    try {
      return act();
    } finally {
      running = outer;
      for (const source of before) if (!this.sources.has(source)) source.leave(this);
    }
  }

  /** Note that it reads a signal. It may change the signal afterwards, and read it again. */
  read(source: Signal<unknown>, version: number): void {
    if (!this.sources.has(source)) this.sources.set(source, version);
  }

  get reads(): boolean {
    return this.sources.size > 0;
  }

  mark(): void {
    if (this.isMarked) return;
    this.isMarked = true;
    if (this.atOnce) this.again();
    else marked.add(this);
  }

  /** Return true before the first run, and if a value that was read is another one. */
  isStale(): boolean {
    if (!this.reads) return true;
    for (const [source, version] of this.sources) if (source.current() !== version) return true;
    this.isMarked = false;
    return false;
  }

  close(): void {
    marked.delete(this);
    for (const source of this.sources.keys()) source.leave(this);
    this.sources.clear();
  }
}

export class Signal<T> {
  protected version = 0;
  protected readonly readers = new Set<Reader>();

  constructor(protected held: T) {}

  get value(): T {
    const value = this.peek();
    if (running) {
      running.read(this, this.version);
      this.readers.add(running);
    }
    return value;
  }

  set value(next: T) {
    if (next === this.held) return;
    this.held = next;
    this.version++;
    batch(() => this.tell());
  }

  /** Return the value without noting that it was read. */
  peek(): T {
    return this.held;
  }

  /** Return the version of the value. */
  current(): number {
    this.peek();
    return this.version;
  }

  leave(reader: Reader): void {
    this.readers.delete(reader);
  }

  protected tell(): void {
    for (const reader of this.readers) reader.mark();
  }
}

/** A value made of other signals. */
class Computed<T> extends Signal<T> {
  private readonly reader = new Reader(() => this.tell(), true);

  constructor(private readonly compute: () => T) {
    super(undefined as T);
  }

  override peek(): T {
    if (this.reader.isMarked && this.reader.isStale()) {
      const next = this.reader.run(this.compute);
      if (next !== this.held) this.version++;
      this.held = next;
    }
    return this.held;
  }

  override leave(reader: Reader): void {
    super.leave(reader);
    if (this.readers.size) return;
    this.reader.close(); // so that its signals do not keep it
    this.reader.isMarked = true;
  }
}

export const signal = <T>(value: T): Signal<T> => new Signal(value);

export const computed = <T>(compute: () => T): Signal<T> => new Computed(compute);

/** Run now, and again whenever a signal changes that was read. Return a function that ends it. */
export function effect(act: () => void): () => void {
  const again = (): void => reader.run(act);
  const reader = new Reader(again);
  batch(again);
  return () => reader.close();
}

/** Change signals; effects follow at the end. */
export function batch(act: () => void): void {
  batches++;
  try {
    act();
    if (batches > 1) return;
    for (const reader of marked) {
      marked.delete(reader); // an effect may mark it again
      if (reader.isStale()) reader.again();
    }
  } finally {
    batches--;
  }
}

/** Read signals without noting it. */
export function untracked<R>(act: () => R): R {
  const outer = running;
  running = undefined;
  try {
    return act();
  } finally {
    running = outer;
  }
}
