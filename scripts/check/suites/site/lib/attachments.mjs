// Files for journeys, made without other programs.

import { crc32, deflateSync } from "node:zlib";

function chunk(type, data) {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(data.length);
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([head, body, sum]);
}

/** A PNG of one colour, or with noise, which compresses badly. */
export function png(width = 64, height = 48, isNoisy = false) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  let seed = 1;
  const noise = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) >> 16;
  const plain = Buffer.concat([Buffer.from([0]), Buffer.alloc(3 * width, Buffer.from([13, 107, 88]))]);
  const row = () => (isNoisy ? Buffer.from([0, ...Array.from({ length: 3 * width }, () => noise() & 255)]) : plain);
  const pixels = Buffer.concat(Array.from({ length: height }, row));
  const signature = Buffer.from("89504e470d0a1a0a", "hex");
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(pixels)), chunk("IEND", Buffer.alloc(0))]);
}

/** The beginnings of pictures of this size, in the formats whose size a page reads by itself. */
export function headers(width, height) {
  const numbers = (...pairs) =>
    Buffer.concat(
      pairs.map(([number, bytes, isLittle]) =>
        Buffer.from(Array.from({ length: bytes }, (_, at) => (number >>> (8 * (isLittle ? at : bytes - 1 - at))) & 255)),
      ),
    );
  const webp = (kind, data) => {
    const chunk = Buffer.concat([Buffer.from(kind), numbers([data.length, 4, true]), data]);
    return Buffer.concat([Buffer.from("RIFF"), numbers([chunk.length + 4, 4, true]), Buffer.from("WEBP"), chunk]);
  };
  const sized = png();
  numbers([width, 4], [height, 4]).copy(sized, 16);
  const marker = (code, data) => Buffer.concat([numbers([0xff00 | code, 2], [data.length + 2, 2]), data]);
  const frame = Buffer.concat([numbers([8, 1], [height, 2], [width, 2], [1, 1]), Buffer.from([1, 0x11, 0])]);
  const table = marker(0xc4, Buffer.alloc(17));
  const sides = (((height - 1) << 14) | (width - 1)) >>> 0;
  return {
    "a.png": sized,
    "a.jpg": Buffer.concat([Buffer.from([0xff, 0xd8]), marker(0xe1, Buffer.from("Exif\0\0")), table, Buffer.from([0xff]), marker(0xc2, frame)]),
    "lossy.webp": webp("VP8 ", Buffer.concat([Buffer.from([0x10, 0, 0, 0x9d, 0x01, 0x2a]), numbers([width, 2, true], [height, 2, true])])),
    "lossless.webp": webp("VP8L", Buffer.concat([Buffer.from([0x2f]), numbers([sides, 4, true], [0, 1])])),
    "extended.webp": webp("VP8X", numbers([0, 4], [width - 1, 3, true], [height - 1, 3, true])),
  };
}

/** A PDF whose pages have these texts, in lines. A page with an empty text contains a square. */
export function pdf(pages) {
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    `<< /Type /Pages /Kids [${pages.map((_, index) => `${4 + 2 * index} 0 R`).join(" ")}] /Count ${pages.length} >>`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
  ];
  for (const [index, text] of pages.entries()) {
    const lines = text.split("\n").map((line) => `(${line.replaceAll(/[()\\]/g, "\\$&")}) Tj T*`);
    const content = text === "" ? "0.2 0.5 0.4 rg 100 300 200 200 re f" : `BT /F1 12 Tf 14 TL 72 720 Td ${lines.join("\n")} ET`;
    objects.push(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents ${5 + 2 * index} 0 R >>`);
    objects.push(`<< /Length ${content.length} >>\nstream\n${content}\nendstream`);
  }
  let file = "%PDF-1.4\n";
  const places = objects.map((object, index) => {
    const place = file.length;
    file += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return place;
  });
  const table = places.map((place) => `${String(place).padStart(10, "0")} 00000 n \n`).join("");
  const end = `trailer << /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`;
  return Buffer.from(`${file}xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}${end}`, "latin1");
}

/** Adds a segment to a JPEG, as a camera adds the place where the picture was taken. */
export function withPlace(jpeg, place) {
  const data = Buffer.from(`Exif\0\0${place}`, "latin1");
  const head = Buffer.from([0xff, 0xe1, (data.length + 2) >> 8, (data.length + 2) & 255]);
  return Buffer.concat([jpeg.subarray(0, 2), head, data, jpeg.subarray(2)]);
}

/** The width and the height of a JPEG. */
export function jpegSize(bytes) {
  for (let at = 2; ; at += 2 + bytes.readUInt16BE(at + 2))
    if ([0xc0, 0xc1, 0xc2].includes(bytes[at + 1])) return [bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)];
}

export const file = (name, buffer, mimeType = "application/octet-stream") => ({ name, mimeType, buffer: Buffer.from(buffer) });

/** The list of the files that will be sent with the message. */
export const tray = (page) => page.getByRole("list", { name: "Files to send" });

/** Chooses files with the button beside the box. */
export async function choose(page, ...files) {
  const coming = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Add files" }).click();
  await (await coming).setFiles(files);
}

/** Pastes files into the box, or drops them on the page. */
export async function give(page, how, ...files) {
  const all = files.map(({ name, mimeType, buffer }) => ({ name, mimeType, data: buffer.toString("base64") }));
  await page.evaluate(
    ([how, all]) => {
      const data = new DataTransfer();
      for (const { name, mimeType, data: text } of all)
        data.items.add(new File([Uint8Array.from(atob(text), (char) => char.charCodeAt(0))], name, { type: mimeType }));
      const options = { bubbles: true, cancelable: true };
      const box = document.getElementById("message");
      const event =
        how === "paste" ? new ClipboardEvent("paste", { ...options, clipboardData: data }) : new DragEvent("drop", { ...options, dataTransfer: data });
      (how === "paste" ? box : document.querySelector("main")).dispatchEvent(event);
    },
    [how, all],
  );
}
