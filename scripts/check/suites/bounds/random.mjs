// Random choices that depend only on a seed.

import { createHash } from "node:crypto";

export class Random {
  #state;

  constructor(seed) {
    this.#state = createHash("sha256").update(seed).digest().readUInt32LE();
  }

  /** A number from 0 up to 1 (mulberry32). */
  fraction() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(share) {
    return this.fraction() < share;
  }

  /** A whole number from `least` to `most`. */
  from(least, most) {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  pick(list) {
    return list[this.from(0, list.length - 1)];
  }

  times(count, make) {
    return Array.from({ length: count }, (_, index) => make(index));
  }

  /** A length from 1 to `most`. Half of the lengths are below the square root of `most`. */
  length(most) {
    return Math.round(most ** this.fraction());
  }
}
