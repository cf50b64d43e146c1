// Makes the README's pictures: a chat, a statement and the administration, as the user ann and an
// administrator see them. SITE is the URL of the pages. ADMIN and ADMIN_PASSWORD are the
// administrator's credentials.

import { SITE, ask, journeys, newPage, picture } from "./lib/browser.mjs";

const PASSWORD = "correct horse battery staple";
const QUESTION = "How do I get to the harbour?";

await journeys({
  async "pictures of the README"() {
    const tokens = {};
    for (const username of ["dora", "carla", "ben", "ann"]) {
      const { body } = await ask("POST", "api/register/", { username, password: PASSWORD, email: `${username}@example.com` });
      tokens[username] = body.token;
    }
    await ask("POST", "api/chat/", { message: "What does a day ticket cost?" }, tokens.ann);
    await ask("POST", "api/chat/", { message: "When does the last train leave?" }, tokens.ann);
    const { body: admin } = await ask("POST", "api/login/", { username: process.env.ADMIN, password: process.env.ADMIN_PASSWORD });
    const { body: users } = await ask("GET", "api/admin/users/?q=ann", null, admin.access);
    const ann = users.find(({ username }) => username === "ann");
    await ask("POST", `api/admin/users/${ann.id}/adjustments/`, { amount: 1000, reason: "Sorry for the outage" }, admin.access);

    const page = await newPage({ viewport: { width: 1000, height: 640 } });
    await page.goto(SITE);
    await logIn(page, "ann", PASSWORD);
    await page.getByLabel("Your message").fill(QUESTION);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Copy the answer" }).waitFor();
    await picture(page, "readme-chat");
    await page.goto(`${SITE}#/statement`);
    await page.getByText("Sorry for the outage").waitFor();
    await picture(page, "readme-statement");

    const administration = await newPage({ viewport: { width: 1000, height: 640 } });
    await administration.goto(`${SITE}admin/`);
    await logIn(administration, process.env.ADMIN, process.env.ADMIN_PASSWORD);
    await administration.getByRole("link", { name: "carla", exact: true }).waitFor();
    await picture(administration, "readme-administration");
  },
});

async function logIn(page, name, password) {
  await page.getByLabel("Username or e-mail address").fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.keyboard.press("Enter");
  await page.getByRole("heading").first().waitFor();
}
