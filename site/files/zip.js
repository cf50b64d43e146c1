// Writes zip files. Their entries are stored without compression, because pictures are compressed
// already.

/** The flag for names in UTF-8, and the version of the format that is needed to read an entry. */
const UTF8 = 0x0800;
const VERSION = 20;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? 0xedb88320 ^ (sum >>> 1) : sum >>> 1;
  return sum;
});

/** @param {Uint8Array} bytes */
function checksum(bytes) {
  let sum = ~0;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

/**
 * Numbers in little-endian order: pairs of a number and its size in bytes.
 * @param {number[][]} pairs
 */
function numbers(...pairs) {
  const size = pairs.reduce((sum, [, bytes]) => sum + bytes, 0);
  const view = new DataView(new ArrayBuffer(size));
  let at = 0;
  for (const [number, bytes] of pairs) {
    if (bytes === 4) view.setUint32(at, number, true);
    else view.setUint16(at, number, true);
    at += bytes;
  }
  return new Uint8Array(view.buffer);
}

/** The date and the time of an entry, as the format counts them. @param {Date} time */
function stamp(time) {
  const clock = (time.getHours() << 11) | (time.getMinutes() << 5) | (time.getSeconds() >> 1);
  const day = ((time.getFullYear() - 1980) << 9) | ((time.getMonth() + 1) << 5) | time.getDate();
  return [
    [clock, 2],
    [day, 2],
  ];
}

/**
 * A zip file with these entries, as a blob.
 * @param {[name: string, bytes: Uint8Array<ArrayBuffer>][]} entries
 */
export function zip(entries, time = new Date()) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [path, bytes] of entries) {
    const name = new TextEncoder().encode(path);
    const sizes = [
      [checksum(bytes), 4],
      [bytes.length, 4],
      [bytes.length, 4],
      [name.length, 2],
      [0, 2],
    ];
    const about = [[VERSION, 2], [UTF8, 2], [0, 2], ...stamp(time), ...sizes];
    const head = numbers([0x04034b50, 4], ...about);
    parts.push(head, name, bytes);
    const rest = [
      [0, 2],
      [0, 2],
      [0, 2],
      [0, 4],
      [offset, 4],
    ];
    directory.push(numbers([0x02014b50, 4], [VERSION, 2], ...about, ...rest), name);
    offset += head.length + name.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const count = [entries.length, 2];
  const end = [[0x06054b50, 4], [0, 2], [0, 2], count, count, [size, 4], [offset, 4], [0, 2]];
  return new Blob([...parts, ...directory, numbers(...end)], { type: "application/zip" });
}

/** A file name that no system refuses and that leads to no other folder. @param {string} name */
export const safeName = (name) => name.replaceAll(/[\p{C}/\\:*?"<>|]/gu, "_").replace(/^\.+/, "_");
