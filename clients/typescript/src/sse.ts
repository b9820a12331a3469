// Server-sent events: the parser of the HTML standard, with a size limit.

/** The characters that a frame may have. */
export const FRAME_CHARS_MAX = 16 << 20;

/** A frame. `id` is the last id of the stream, also if this frame has none. */
export interface Frame {
  readonly event: string;
  readonly data: string;
  readonly id: string | undefined;
}

/** Parses the text of a stream, in chunks of any size. */
export class SseParser {
  readonly #line: string[] = []; // the parts of an unfinished line
  #chars = 0; // of the unfinished frame
  #afterCr = false;
  #event = "";
  #data: string[] = [];
  #id: string | undefined;

  constructor(private readonly charsMax: number = FRAME_CHARS_MAX) {}

  /** Return the frames that a chunk completes. Throws RangeError if a frame is too large. */
  push(chunk: string): Frame[] {
    const frames: Frame[] = [];
    let begin = this.#afterCr && chunk.startsWith("\n") ? 1 : 0;
    if (chunk) this.#afterCr = false;
    let lf = chunk.indexOf("\n", begin);
    let cr = chunk.indexOf("\r", begin);
    while (lf >= 0 || cr >= 0) {
      const end = lf < 0 || (cr >= 0 && cr < lf) ? cr : lf;
      this.#endLine(chunk.slice(begin, end), frames);
      begin = end + 1;
      if (end === cr) {
        if (begin === chunk.length) this.#afterCr = true;
        else if (lf === begin) begin++;
        cr = chunk.indexOf("\r", begin);
      }
      if (lf >= 0 && lf < begin) lf = chunk.indexOf("\n", begin);
    }
    if (begin < chunk.length) {
      this.#line.push(chunk.slice(begin));
      this.#count(chunk.length - begin);
    }
    return frames;
  }

  #count(chars: number): void {
    this.#chars += chars;
    if (this.#chars > this.charsMax) throw new RangeError(`A frame has more than ${this.charsMax} characters.`);
  }

  #endLine(rest: string, frames: Frame[]): void {
    this.#count(rest.length);
    let line = rest;
    if (this.#line.length) {
      line = this.#line.join("") + rest;
      this.#line.length = 0;
    }
    if (line === "") this.#endFrame(frames);
    else this.#field(line);
  }

  #endFrame(frames: Frame[]): void {
    if (this.#data.length) frames.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
    this.#event = "";
    this.#data = [];
    this.#chars = 0;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) {
      this.#chars -= line.length; // comments may be endless
      return;
    }
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }
}
