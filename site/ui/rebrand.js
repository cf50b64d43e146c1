// The parts of the operator's brand that a page can begin without: the icons, and the colours of a
// brand that this browser hasn't seen before. Without a brand, it is loaded only once.

/** The accent colours of a brand. All can be read if the brand's two colours can. */
function colorsOf({ color, dark_color: dark }) {
  if (!color) return {};
  const mix = (one, percent, other) => `color-mix(in srgb, ${one} ${percent}%, ${other})`;
  const text = [mix(color, 80, "#000"), mix(dark, 70, "#fff")];
  const pairs = {
    "--accent": [color, dark],
    "--ring": [color, dark],
    "--accent-hover": text,
    "--accent-text": text,
    "--accent-soft": [mix(color, 12, "#fff"), mix(dark, 18, "#101513")],
    "--on-accent": ["#fff", "#101513"],
  };
  return Object.fromEntries(
    Object.entries(pairs).map(([name, pair]) => [name, `light-dark(${pair})`]),
  );
}

/**
 * Shows the brand in this page, and remembers it for later pages. `fileOf` returns the URL of one
 * of the brand's files.
 */
export function keepBrand(brand, fileOf) {
  const { style } = document.documentElement;
  const colors = colorsOf(brand);
  for (const name of [...style]) if (name.startsWith("--")) style.removeProperty(name);
  for (const [name, value] of Object.entries(colors)) style.setProperty(name, value);
  try {
    localStorage.setItem("farebox.brand", JSON.stringify(brand));
    localStorage.setItem("farebox.colors", JSON.stringify(colors));
  } catch {
    // Without storage, each page begins without a brand.
  }
  if (brand.files) useFiles(fileOf);
}

/** Uses the brand's logo as the page's icon, and its description of the installed app. */
export async function useFiles(fileOf) {
  const link = (rel) => document.querySelector(`link[rel="${rel}"]`) ?? {};
  link("manifest").href = fileOf("app.webmanifest");
  const logo = await pictureIn(fileOf("logo.svg"));
  Object.assign(link("icon"), { type: "", href: logo });
  const icon = document.querySelector('link[rel="apple-touch-icon"]');
  // Without an icon, iOS uses a picture of the page. Farebox's icon would be wrong.
  if (icon)
    drawIcon(logo).then(
      (url) => (icon.href = url),
      () => icon.remove(),
    );
}

/**
 * The URL of the PNG in the logo's file, or the file's own URL. Not every browser waits for a
 * picture inside an SVG when it draws an icon.
 */
async function pictureIn(file) {
  try {
    const svg = await (await fetch(file)).text();
    return /data:image\/png;base64,[\w+/=]+/.exec(svg)?.[0] ?? file;
  } catch {
    return file;
  }
}

/** The size of the icon of an app on iOS, and the size of the logo in it, in pixels. */
const ICON = 180;
const LOGO = 132;

/** Draws the logo as a PNG, because iOS accepts no SVG as an icon. Resolves with its `data:` URL. */
async function drawIcon(src) {
  const image = new Image();
  image.src = src;
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  const scale = LOGO / Math.max(width, height);
  // Some browsers know no size of an SVG without one, and fit it into any.
  const size = width > 0 && height > 0 ? [width * scale, height * scale] : [LOGO, LOGO];
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = ICON;
  const context = canvas.getContext("2d");
  // iOS fills transparent parts with black.
  context.fillStyle = "#f6f6f2";
  context.fillRect(0, 0, ICON, ICON);
  context.drawImage(image, ...size.map((side) => (ICON - side) / 2), ...size);
  return canvas.toDataURL("image/png");
}
