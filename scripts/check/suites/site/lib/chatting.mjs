// Steps and checks of journeys through the chat page.

import { SITE, eventually, newPage } from "./browser.mjs";

/** Opens a page in a new browser in which a user is logged in. */
export async function chatPage(person, { place = "", url = SITE, ...options } = {}) {
  const page = await newPage(options);
  await page.goto(url + place);
  await logIn(page, person);
  await page.getByRole("button", { name: "Your account" }).waitFor();
  if (place === "") await heading(page, "What would you like to know?");
  return page;
}

export async function logIn(page, { name, password }) {
  await page.getByLabel("Username or e-mail address").fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
}

/** Sends a message with Enter, or with the button if Enter begins a new line. */
export async function say(page, text) {
  const box = page.getByLabel("Your message");
  await box.fill(text);
  if ((await box.getAttribute("enterkeyhint")) === "enter") await page.getByRole("button", { name: "Send" }).click();
  else await box.press("Enter");
}

/** Keeps the page from asking again by itself after a lost connection, so that a journey can. */
export async function stayLost(page) {
  await page.route("**/api/health/", (route) => route.abort());
}

/** Resolves once the page says that it waits for an answer that the API already writes. */
export const rests = (page, options) =>
  page
    .locator(".turn-state")
    .getByText(/Waiting for the rest of the answer|still finishing this message/)
    .waitFor(options);

let copying = Promise.resolve();

/** Runs `work` while no other journey of this browser uses the clipboard, which all of them share. */
export function withClipboard(work) {
  const done = copying.then(work);
  copying = done.catch(() => {});
  return done;
}

/** Presses a button that copies `text`, or a text that `text` matches. */
export function copies(page, button, text) {
  return withClipboard(async () => {
    await button.click();
    const isText = async ([text, flags]) => {
      const copied = await navigator.clipboard.readText();
      return flags === undefined ? copied === text : new RegExp(text, flags).test(copied);
    };
    await page.waitForFunction(isText, text instanceof RegExp ? [text.source, text.flags] : [text]);
  });
}

/** Resolves once all answers are shown as Markdown. */
export const drawn = (page) => page.waitForFunction(() => document.querySelector(".answer") && !document.querySelector(".as-written"));

/**
 * Lets the API report an empty balance, for journeys with a made-up refusal for lack of tokens:
 * otherwise the page would soon read that the balance covers the message.
 */
export const emptyBalance = (page) =>
  page.route("**/api/tokens/", (route) => route.fulfill({ json: { tokens: 0, tokens_left: 0, tokens_held: 0, chat_price: 100 } }));

/** Resolves once the API holds tokens for a message of this user. */
export async function holdsTokens({ api }) {
  await eventually(async () => (await api("GET", "api/tokens/")).body.tokens_held > 0, true, "tokens are held");
}

/**
 * Turns the wheel to the beginning of the chat. Setting `scrollTop` isn't a gesture, so text that
 * grows in the same frame would scroll back to the end.
 */
export async function toBeginning(page) {
  await page.locator("main").hover();
  await page.mouse.wheel(0, -100_000);
  await page.waitForFunction(() => document.querySelector("main").scrollTop === 0);
}

/** Opens a new chat, and waits until its box has replaced the previous view's box. */
export async function newChat(page) {
  await page.getByRole("link", { name: "New chat" }).click();
  await heading(page, "What would you like to know?");
}

/** Asks for another answer to the last message. */
export async function regenerate(page) {
  await page.getByRole("button", { name: "Regenerate the answer" }).last().click();
  await page.getByRole("button", { name: /^Regenerate for [\d,]+ tokens$/ }).click();
}

/** Returns the last answer. */
export function answer(page) {
  return page.locator(".answer").last();
}

/** Returns the answer that repeats this message. */
export function said(page, message, exact = false) {
  return page.locator(".turn .prose").getByText(`You said: ${message}`, { exact });
}

/** Waits until the last answer is complete and shown as Markdown. */
export async function answered(page) {
  await answer(page).getByRole("button", { name: "Copy the answer" }).waitFor();
  await answer(page).locator(".as-written, .unseen").first().waitFor({ state: "detached" });
}

export async function heading(page, name) {
  await page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
}

export async function balance(page, tokens) {
  await page.getByRole("link", { name: `Balance: ${tokens.toLocaleString("en")} tokens` }).waitFor();
}

/** Returns the accessible name of the focused element. */
export function focused(page) {
  return page.evaluate(() => {
    const { activeElement: element } = document;
    return (element.getAttribute("aria-label") ?? (element.labels?.[0]?.firstChild ?? element).textContent).trim();
  });
}
