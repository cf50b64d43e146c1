// Journeys with the operator's own brand: visitors see its name, logo, colours and links, and
// administrators change it.

import assert from "node:assert/strict";
import { adminPage } from "./lib/administering.mjs";
import { file, png } from "./lib/attachments.mjs";
import { eventually, fetched, journeys, looksRight, newPage, newUser } from "./lib/browser.mjs";
import { chatPage, heading } from "./lib/chatting.mjs";
import { newServer } from "./lib/server.mjs";

const SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4" fill="#1a4fa3"/></svg>';

const BRAND = {
  name: "Acme Chat",
  address: "Acme Ltd\nSpringfield",
  imprint_url: "https://www.example.com/imprint",
  terms_url: "https://www.example.com/terms",
  privacy_url: "https://www.example.com/privacy",
  color: "#1a4fa3",
  dark_color: "#8ab4f8",
  logo: png(64, 64).toString("base64"),
};

const started = (brand = BRAND) => newServer(null, { SHARING: "on" }, brand);
const server = await started();

/** The stored name and colour, and the width, the height and the bytes of the logo, a PNG. */
async function storedIn(changing) {
  const { brand } = (await changing.admin("GET", "api/admin/brand")).body;
  const bytes = Buffer.from(brand.logo, "base64");
  return { name: brand.name, color: brand.color, width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20), bytes: bytes.length };
}

const colorOf = (locator) => locator.evaluate((element) => getComputedStyle(element).backgroundColor);

/** Reloads the page, which then reads another brand than the stored one. */
async function reloaded(page, changed) {
  await page.route("**/api/admin/brand/", async (route) => {
    if (route.request().method() !== "GET") return route.continue();
    const response = await fetched(route);
    const read = await response.json();
    return route.fulfill({ response, json: { ...read, brand: changed(read.brand) } });
  });
  await page.reload();
}

await journeys({
  async "visitors see the brand and its links"() {
    for (const colorScheme of ["light", "dark"]) {
      const page = await newPage({ colorScheme });
      await page.goto(`${server.url}#/register`);
      await heading(page, "Create an account");
      await page.locator(".guest-bar").getByRole("link", { name: "Acme Chat" }).waitFor();
      await eventually(() => page.title(), "Create an account · Acme Chat");
      await page.getByText("you agree to the terms").waitFor();
      const legal = page.locator(".legal");
      for (const [name, href] of [
        ["Terms", BRAND.terms_url],
        ["Privacy", BRAND.privacy_url],
        ["Legal notice", BRAND.imprint_url],
      ])
        assert.equal(await legal.getByRole("link", { name, exact: true }).getAttribute("href"), href);
      await legal.getByText("Springfield").waitFor();
      const expected = colorScheme === "light" ? "rgb(26, 79, 163)" : "rgb(138, 180, 248)";
      await eventually(() => colorOf(page.getByRole("button", { name: "Create account" })), expected);
      await page.waitForFunction(() => {
        const image = document.querySelector(".guest-bar img");
        return image?.naturalWidth > 0 && image.src.endsWith("/logo.svg");
      });
      const drawn = () =>
        page.evaluate(() => {
          const canvas = document.createElement("canvas");
          const context = canvas.getContext("2d", { willReadFrequently: true });
          context.drawImage(document.querySelector(".guest-bar img"), 0, 0, 28, 28);
          return [...context.getImageData(14, 14, 1, 1).data].join(" ");
        });
      await eventually(drawn, "13 107 88 255");
      assert(!(await page.content()).includes("Farebox"));
      const manifest = await page.evaluate(async () => (await fetch(document.querySelector("link[rel='manifest']").href)).json());
      assert.deepEqual([manifest.name, manifest.icons[0].src], ["Acme Chat", `data:image/png;base64,${BRAND.logo}`]);
      await looksRight(page, `brand-register-${colorScheme}`);
    }
  },

  async "a returning browser shows the brand before the API replies"() {
    const page = await newPage();
    await page.goto(server.url);
    await page.getByRole("link", { name: "Acme Chat" }).waitFor();
    await page.route("**/api/models", () => {});
    await page.reload();
    await heading(page, "Log in");
    await eventually(() => page.title(), "Log in · Acme Chat");
    await eventually(() => colorOf(page.getByRole("button", { name: "Log in" })), "rgb(26, 79, 163)");
  },

  async "a new browser shows the brand at the administrators' log-in"() {
    const page = await newPage();
    await page.goto(`${server.url}admin/`);
    await page.locator(".brand-name").getByText("Acme Chat").waitFor();
    await eventually(() => page.evaluate(() => document.activeElement.name), "username");
  },

  async "an app on iOS has the brand's logo as its icon"() {
    const page = await newPage();
    await page.goto(server.url);
    const link = 'link[rel="apple-touch-icon"]';
    const icon = async () =>
      page.evaluate(async (link) => {
        const image = new Image();
        image.src = document.querySelector(link).href;
        await image.decode();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        const at = (side) => [...context.getImageData(side, side, 1, 1).data].slice(0, 3).join(" ");
        return [canvas.width, canvas.height, at(90), at(2)];
      }, link);
    await eventually(icon, [180, 180, "13 107 88", "246 246 242"]);
  },

  async "downloaded files begin with the brand's name"() {
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url, place: "#/statement" });
    const saved = async (name) => {
      const coming = page.waitForEvent("download");
      await page.getByRole("button", { name, exact: true }).click();
      return (await coming).suggestedFilename();
    };
    assert.equal(await saved("Download CSV"), "acme-chat-statement.csv");
    await page.goto(`${server.url}#/account/data`);
    assert.equal(await saved("Download everything"), "acme-chat-export.json");
  },

  async "users see the brand in the chat and the documentation"() {
    const ann = await newUser("ann", { site: server.url });
    const page = await chatPage(ann, { url: server.url });
    await page.locator(".sidebar").getByRole("link", { name: "Acme Chat" }).waitFor();
    await page.goto(`${server.url}#/account`);
    await page.getByRole("link", { name: "Legal notice" }).waitFor();
    await page.goto(`${server.url}docs/`);
    await heading(page, "Quickstart");
    await eventually(() => page.title(), "Quickstart · Acme Chat API");
  },

  async "readers of a shared chat see the brand and its links"() {
    const ann = await newUser("ann", { site: server.url });
    const { body: chat } = await ann.api("POST", "api/chat/", { message: "Hello" });
    const { body: copy } = await ann.api("POST", "api/user/shares/", { conversation_id: chat.conversation_id });
    for (const [link, title] of [
      [copy.link, "Hello"],
      ["0".repeat(32), "Not shared"],
    ]) {
      const page = await newPage();
      await page.goto(`${server.url}s/${link}`);
      await heading(page, title);
      await page.locator(".topbar").getByRole("link", { name: "Acme Chat" }).waitFor();
      for (const [name, href] of [
        ["Terms", BRAND.terms_url],
        ["Privacy", BRAND.privacy_url],
        ["Legal notice", BRAND.imprint_url],
      ])
        assert.equal(await page.locator(".legal").getByRole("link", { name, exact: true }).getAttribute("href"), href);
      await eventually(() => page.title(), `${title} · Acme Chat`);
      await page.waitForFunction(() => document.querySelector("link[rel='icon']").href.startsWith("data:image/png;base64,"));
      assert(!(await page.content()).includes("Farebox"));
      await looksRight(page, title === "Hello" ? "brand-shared" : "brand-not-shared");
    }
  },

  async "an administrator changes the brand"() {
    const changing = await started();
    const page = await adminPage(changing, "#/brand");
    await heading(page, "Brand");
    await page.getByLabel("Name", { exact: true }).fill("Nova");
    await page.getByLabel("Colour on light backgrounds").fill("#ffd54a");
    await page.getByRole("button", { name: "Save the brand" }).click();
    await page.getByText("is 1.3:1, and 4.5:1 is needed").waitFor();
    await page.getByLabel("Colour on light backgrounds").fill("#7a1f5c");
    await page.getByLabel("Logo").setInputFiles(file("logo.svg", "Nova", "image/svg+xml"));
    await page.getByText("This browser can't draw this file.").waitFor();
    await page.getByLabel("Logo").setInputFiles(file("logo.svg", SVG, "image/svg+xml"));
    await page.getByRole("button", { name: "Save the brand" }).click();
    await page.getByText("The brand has been saved.").waitFor();
    const { bytes, ...stored } = await storedIn(changing);
    assert.deepEqual(stored, { name: "Nova", color: "#7a1f5c", width: 512, height: 512 });
    assert(bytes <= 32_768, `${bytes} bytes`);
    await looksRight(page, "admin-brand");
    await page.getByRole("link", { name: "History" }).click();
    await heading(page, "Audit log");
    await page.getByText("Brand").last().waitFor();
  },

  async "a large picture becomes a small logo"() {
    const changing = await started();
    const page = await adminPage(changing, "#/brand");
    await heading(page, "Brand");
    await page.getByLabel("Logo").setInputFiles(file("photo.png", png(900, 600, true), "image/png"));
    await page.getByRole("button", { name: "Save the brand" }).click();
    await page.getByText("The brand has been saved.").waitFor();
    const { width, height, bytes } = await storedIn(changing);
    assert(bytes <= 32_768 && bytes > 4096 && width <= 512, `${width} pixels, ${bytes} bytes`);
    assert(Math.abs(width / height - 1.5) < 0.05, `${width} x ${height}`);
  },

  async "an SVG of an earlier release is saved as a PNG"() {
    const changing = await started();
    const page = await adminPage(changing, "#/brand");
    await heading(page, "Brand");
    await reloaded(page, (brand) => ({ ...brand, logo: SVG }));
    await page.locator("img[src^='data:image/svg+xml,']").waitFor();
    await page.getByLabel("Name", { exact: true }).fill("Nova");
    await page.getByRole("button", { name: "Save the brand" }).click();
    await page.getByText("The brand has been saved.").waitFor();
    const { name, width, height } = await storedIn(changing);
    assert.deepEqual([name, width, height], ["Nova", 512, 512]);
  },

  async "an administrator replaces a brand that this release can't use"() {
    const changing = await started();
    const page = await adminPage(changing, "#/brand");
    await heading(page, "Brand");
    await reloaded(page, () => null);
    await page.getByText("This release can't use the stored brand").waitFor();
    await page.getByRole("button", { name: "Remove the brand" }).waitFor();
    await page.getByLabel("Name", { exact: true }).fill("Nova");
    await page.getByRole("button", { name: "Save the brand" }).click();
    await page.getByText("The brand has been saved.").waitFor();
    assert.equal((await changing.admin("GET", "api/admin/brand")).body.brand.name, "Nova");
  },

  async "an unsaved brand is kept until it is discarded"() {
    const page = await adminPage(await started(), "#/brand");
    await heading(page, "Brand");
    const name = page.getByLabel("Name", { exact: true });
    const cancel = page.getByRole("button", { name: "Cancel" });
    await name.fill("Nova");
    await page.getByRole("navigation", { name: "Administration", exact: true }).getByRole("link", { name: "Users" }).click();
    await heading(page, "Users");
    await page.getByRole("link", { name: "Brand", exact: true }).click();
    await heading(page, "Brand");
    assert.equal(await name.inputValue(), "Nova");
    await cancel.click();
    const question = page.getByRole("dialog", { name: "Discard the changes?" });
    await question.getByRole("button", { name: "Cancel" }).click();
    await question.waitFor({ state: "detached" });
    assert.equal(await name.inputValue(), "Nova");
    await page.getByRole("button", { name: "Remove the logo" }).click();
    await name.fill("Acme Chat");
    await cancel.click();
    await question.getByRole("button", { name: "Discard" }).click();
    await page.getByRole("img", { name: "The logo" }).waitFor();
    await eventually(() => name.inputValue(), "Acme Chat");
    await cancel.click();
    await page.getByRole("heading", { name: "Brand" }).and(page.locator(":focus")).waitFor();
    assert.equal(await question.count(), 0);
  },

  async "removing the brand warns of unsaved changes"() {
    const page = await adminPage(await started(), "#/brand");
    await heading(page, "Brand");
    const remove = page.getByRole("button", { name: "Remove the brand" });
    const question = page.getByRole("dialog", { name: "Remove the brand?" });
    const loss = question.getByText("Your unsaved changes to the brand are lost.");
    await remove.click();
    await question.waitFor();
    assert.equal(await loss.count(), 0);
    await question.getByRole("button", { name: "Cancel" }).click();
    await question.waitFor({ state: "detached" });
    await page.getByLabel("Name", { exact: true }).fill("Nova");
    await remove.click();
    await loss.waitFor();
    await question.getByRole("button", { name: "Remove the brand" }).click();
    await page.getByText("The brand has been removed.").waitFor();
    await eventually(() => page.getByLabel("Name", { exact: true }).inputValue(), "");
  },

  async "a brand that changed meanwhile isn't overwritten"() {
    const changing = await started();
    const page = await adminPage(changing, "#/brand");
    await heading(page, "Brand");
    const { body: before } = await changing.admin("GET", "api/admin/brand");
    await changing.admin("PUT", "api/admin/brand", { brand: { name: "Other" }, version: before.version });
    await page.getByLabel("Name", { exact: true }).fill("Mine");
    await page.getByRole("button", { name: "Save the brand" }).click();
    await page.getByText("The brand was changed").waitFor();
    await page.getByRole("button", { name: "Load the newer brand" }).click();
    await page.getByText("The newer brand has been loaded.").waitFor();
    await eventually(() => page.getByLabel("Name", { exact: true }).inputValue(), "Other");
  },
});
