// usage: with_stripe.cjs sign SECRET SECOND, or verify SECRET HEADER. The payload is on the standard input.
// Signs an event with Stripe's SDK for Node, or verifies an event's signature.
const { readFileSync } = require("node:fs");
const Stripe = require("stripe");

const [, , what, secret, value] = process.argv;
const stripe = new Stripe("rk_test_0123456789abcdef");
const payload = readFileSync(0, "utf8");
if (what === "sign") {
  console.log(stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp: Number(value) }));
} else {
  console.log(stripe.webhooks.constructEvent(payload, value, secret).type);
}
