/** Where the frames of a zstd file end: Node's decoder stops behind the first one in what it is given. */

/**
 * The same bytes, in pieces that never hold the end of one frame and the beginning of the next: fed
 * with these, zstd goes on from frame to frame (docs/adr/0023). Throws where the last one has no end.
 * What is no frame is passed on whole, and the decoder says what it is.
 * Source: RFC 8878, section 3.1.
 */
export async function* cutBetweenFrames(
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const frames = new Frames();
  for await (const chunk of content) {
    for (let rest = chunk; rest.length > 0; ) {
      const bytes = frames.within(rest);
      yield rest.subarray(0, bytes);
      rest = rest.subarray(bytes);
    }
  }
  if (frames.at === "inside") throw new Error("the last zstd frame has no end");
}

type Part = "magic" | "skippable size" | "descriptor" | "block" | "none of zstd's";

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const RLE = 1;

class Frames {
  /** What the header that is being read says. */
  private part: Part = "magic";
  private wanted = 4;
  private readonly header: number[] = [];
  /** Bytes to pass over before the next header. */
  private pass = 0;
  /** Whether the frame is over behind these. */
  private isLast = false;
  private checksum = 0;

  get at(): "between" | "inside" {
    const isFresh = this.part === "magic" && this.header.length === 0 && this.pass === 0;
    return isFresh || this.part === "none of zstd's" ? "between" : "inside";
  }

  /** How many bytes of `chunk` belong to the frame that is being read; all, where it goes on behind them. */
  within(chunk: Uint8Array): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.part === "none of zstd's") return chunk.length;
      if (this.pass > 0) {
        const passed = Math.min(this.pass, chunk.length - at);
        this.pass -= passed;
        at += passed;
        if (this.pass === 0 && this.ended()) return at;
        continue;
      }
      this.header.push(chunk[at++] ?? 0);
      if (this.header.length === this.wanted && this.read() === "end") return at;
    }
    return at;
  }

  /** A header is complete. */
  private read(): "end" | "goes on" {
    const value = this.header.splice(0).reduceRight((sum, byte) => sum * 256 + byte, 0);
    switch (this.part) {
      case "magic":
        if (value === MAGIC) this.expect("descriptor", 1);
        else if (value - (value % 16) === SKIPPABLE) this.expect("skippable size", 4);
        else this.part = "none of zstd's";
        return "goes on";
      case "skippable size":
        this.pass = value;
        this.isLast = true;
        break;
      case "descriptor":
        this.pass = restOfHeader(value);
        this.checksum = value & 4 ? 4 : 0;
        this.expect("block", 3);
        break;
      case "block":
        this.pass = ((value >> 1) & 3) === RLE ? 1 : value >> 3;
        this.isLast = (value & 1) === 1;
        if (this.isLast) this.pass += this.checksum;
        break;
    }
    return this.pass === 0 && this.ended() ? "end" : "goes on";
  }

  private expect(part: Part, wanted: number): void {
    this.part = part;
    this.wanted = wanted;
  }

  private ended(): boolean {
    if (!this.isLast) return false;
    this.isLast = false;
    this.expect("magic", 4);
    return true;
  }
}

/** Bytes between a frame's descriptor and its first block: window, dictionary, size of the content. */
function restOfHeader(descriptor: number): number {
  const isSingle = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const size = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  return (isSingle ? 0 : 1) + dictionary + size;
}
