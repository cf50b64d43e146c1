// The dialog in which a user exchanges a voucher's code for tokens.

import { post } from "../session/api.js";
import { learn } from "../session/user.js";
import { button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { field, form } from "../ui/form.js";
import { formatDay, formatTokens, inCurrency } from "../ui/format.js";
import { toast } from "../ui/message.js";

/** The failures that are shown in the code's field. */
const CODES = {
  no_such_voucher: "code",
  voucher_used: "code",
  voucher_ended: "code",
  own_balance: "code",
  too_many_guesses: "code",
};

/** Asks for a code. Resolves with true if the user got the code's tokens. */
export function redeemVoucher() {
  return dialog("Redeem a voucher", (close) => {
    const code = field("Code", "code", {
      autocomplete: "off",
      autocapitalize: "characters",
      spellcheck: "false",
      maxLength: 64,
      autofocus: true,
      hint: "25 letters and digits. Hyphens and spaces don't matter.",
    });
    return form([code], {
      submit: "Redeem",
      codes: CODES,
      extra: button("Cancel", { onclick: () => close() }),
      onsubmit: async (values) => {
        const row = await post("api/user/vouchers/", values);
        learn(row);
        close(true);
        const from = `${formatTokens(row.amount)} from “${row.reason}”`;
        const before = `You redeemed this voucher on ${formatDay(row.timestamp)}. Its ${from} are already in your balance.`;
        toast(inCurrency(row.already_redeemed ? before : `${from} are in your balance.`));
      },
    });
  });
}
