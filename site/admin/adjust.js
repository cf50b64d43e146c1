// The form that adds tokens to a user's balance or takes tokens away.

import { ApiError, newKey, post } from "../session/api.js";
import { h, newId } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain, formatNumber, formatSigned, formatTokens, inCurrency } from "../ui/format.js";
import { attempt, toast } from "../ui/message.js";
import { reasonField } from "./reason.js";

/** The maximum number of tokens in an adjustment. */
const MOST_TOKENS = 1_000_000_000_000;

/**
 * The form. While the outcome of a request is unknown, the same adjustment is sent with the same
 * idempotency key, so it is made only once. `user` returns the account, and `changed` reads it
 * again.
 */
export function adjustment(path, user, changed) {
  const name = newId("direction");
  const choice = (value, text, checked) =>
    h(
      "label",
      { class: "admin-choice" },
      h("input", { type: "radio", name, value, checked, onchange: preview }),
      h("span", {}, text),
    );
  const give = choice("give", "Give", true);
  const take = choice("take", "Take away", false);
  const tokens = field(inCurrency("Tokens"), "amount", {
    inputMode: "numeric",
    autocomplete: "off",
    oninput: preview,
  });
  const reason = reasonField({ hint: "Shown in the user's statement and in the audit log." });
  const outlook = h("p", { class: "hint admin-outlook", "aria-live": "polite" });
  const refunds = h(
    "p",
    { class: "hint", hidden: true },
    inCurrency(
      "To undo a purchase, refund it at Stripe, which also takes its tokens back. If you take them here too, they are taken twice.",
    ),
  );
  let sent = null;

  function preview() {
    const isTaken = take.querySelector("input").checked;
    refunds.hidden = !isTaken;
    const change = read(tokens.input.value, isTaken);
    const after = user().tokens + change;
    outlook.textContent = !change
      ? ""
      : after < 0
        ? `The balance is ${formatTokens(user().tokens)}: you can't take away more.`
        : `${formatNumber(user().tokens)} → ${formatTokens(after)}`;
  }

  const element = form(
    [
      h("fieldset", { class: "admin-choices" }, h("legend", {}, "What to do"), give, take),
      tokens,
      outlook,
      refunds,
      reason,
    ],
    {
      submit: "Adjust the balance",
      codes: { balance_too_low: "amount", grant_too_large: "amount" },
      onsubmit: async (values) => {
        const change = read(values.amount, take.querySelector("input").checked);
        if (!change)
          throw invalid("amount", `Enter a whole number from 1 to ${formatNumber(MOST_TOKENS)}.`);
        const body = { amount: change, reason: values.reason.trim() };
        const text = JSON.stringify(body);
        if (sent?.text !== text) sent = { text, key: newKey() };
        try {
          const done = await post(`${path}adjustments`, body, { key: sent.key });
          sent = null;
          tokens.input.value = "";
          reason.input.value = "";
          toast(
            `${inCurrency(`${formatSigned(done.amount)} tokens`)}. ${user().username} has ${formatTokens(done.tokens)} now.`,
          );
          tokens.input.focus();
        } catch (error) {
          if (!error.passing) sent = null;
          throw error;
        }
        await attempt(changed);
        preview();
      },
      words: (error) => {
        if (error.code === "balance_too_low")
          return "The balance is lower than this amount, and can't go below zero. Nothing was changed.";
        if (error.code === "grant_too_large")
          return inCurrency("An account can't be granted that many tokens. Nothing was changed.");
        if (error.passing)
          return `${explain(error)} You can safely press the button again: the balance is changed only once.`;
        return explain(error);
      },
    },
  );
  return element;
}

/** The typed amount with its sign, or null if it is invalid. Thousands may be separated. */
function read(text, taken) {
  const digits = text.replace(/[\s,.'_]/g, "");
  const number = /^\d{1,13}$/.test(digits) ? Number(digits) : 0;
  if (number < 1 || number > MOST_TOKENS) return null;
  return taken ? -number : number;
}

function invalid(name, sentence) {
  return new ApiError({
    status: 400,
    code: "invalid_fields",
    detail: sentence,
    errors: { [name]: [sentence] },
  });
}
