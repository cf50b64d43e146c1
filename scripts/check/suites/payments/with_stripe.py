"""usage: with_stripe.py API PORT NODE: buys a pack from the API, which calls this program on PORT
instead of Stripe's API. The Python SDK makes the same request, and both SDKs sign events for the
webhook."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import environ
from urllib.parse import parse_qsl

import stripe

API, PORT, NODE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
SECRET = environ["STRIPE_WEBHOOK_SECRET"]
ASKED = []


class Stripe(BaseHTTPRequestHandler):
    """Keeps each request, and answers with a session."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        ASKED.append((self.path, dict(parse_qsl(body, strict_parsing=True)), self.headers))
        reply = json.dumps({"id": "cs_test_1", "object": "checkout.session", "url": "https://checkout.stripe.com/c/pay/cs_test_1"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


def ask(path, body, headers=()):
    """Sends a request to the API. Returns the status and the reply."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, {"Content-Type": "application/json", **dict(headers)})
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def node(*arguments, payload):
    """Runs the program for Node."""
    return subprocess.run(["node", NODE, *arguments], input=payload, capture_output=True, text=True, check=True).stdout.strip()


threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", PORT), Stripe).serve_forever, daemon=True).start()
_, ann = ask("/api/register", {"username": "ann", "password": "a passphrase of ann"})
bearer = {"Authorization": f"Bearer {ann['access']}"}
status, order = ask("/api/user/purchases", {"pack": "small"}, bearer)
assert status == 201, order
path, form, headers = ASKED.pop()

# The SDK makes the same request from its own parameters.
of_order = {"order": order["id"]}
about = {"account": ann["user"]["id"], "pack": "small", "name": "1,000 tokens & more", "tokens": "1000", "price": "299", "currency": "EUR"}
stripe.StripeClient(environ["STRIPE_API_KEY"], base_addresses={"api": f"http://127.0.0.1:{PORT}"}).v1.checkout.sessions.create(
    {
        "mode": "payment",
        "client_reference_id": order["id"],
        "success_url": f"{API}/#/buy?order={order['id']}",
        "cancel_url": f"{API}/#/buy",
        "adaptive_pricing": {"enabled": False},
        "automatic_tax": {"enabled": False},
        "line_items": [
            {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 299, "product_data": {"name": "1,000 tokens & more"}}},
        ],
        "metadata": of_order | about,
        "payment_intent_data": {"metadata": of_order},
    },
    {"idempotency_key": f"order-{order['id']}"},
)
path_of_sdk, form_of_sdk, headers_of_sdk = ASKED.pop()
assert path == path_of_sdk, (path, path_of_sdk)
assert form == form_of_sdk, {name: (form.get(name), form_of_sdk.get(name)) for name in form.keys() ^ form_of_sdk.keys()}
for name in ["Authorization", "Stripe-Version", "Idempotency-Key", "Content-Type"]:
    assert headers[name] == headers_of_sdk[name], (name, headers[name], headers_of_sdk[name])
print(f"The request of a payment page: {len(form)} fields and 4 headers as the SDK sends them")

# The webhook accepts the events that the SDKs sign, and the SDKs accept each other's signatures.
session = {
    "id": "cs_test_1", "object": "checkout.session", "client_reference_id": order["id"], "metadata": of_order, "status": "complete",
    "payment_status": "paid", "amount_total": 299, "amount_subtotal": 299, "currency": "eur", "payment_intent": "pi_1",
}  # fmt: skip
event = {
    "id": "evt_1",
    "object": "event",
    "api_version": stripe.api_version,
    "type": "checkout.session.completed",
    "created": int(time.time()),
    "data": {"object": session},
}
payload = json.dumps(event, ensure_ascii=False, indent=1)
now = int(time.time())
by_python = f"t={now},v1={stripe.WebhookSignature._compute_signature(f'{now}.{payload}', SECRET)}"
by_node = node("sign", SECRET, str(now), payload=payload)
assert by_node.startswith(by_python), (by_node, by_python)
assert node("verify", SECRET, by_python, payload=payload) == event["type"]
assert stripe.Webhook.construct_event(payload, by_node, SECRET).type == event["type"]
for header in [by_python, by_node]:
    status, reply = ask("/api/stripe/webhook", payload.encode(), {"Stripe-Signature": header})
    assert (status, reply) == (200, {"received": True}), reply
late = node("sign", SECRET, str(now - 301), payload=payload)
foreign = node("sign", "whsec_ffffffffffffffffffffffffffffffff", str(now), payload=payload)
for header, body in [(late, payload), (foreign, payload), (by_node, payload + " ")]:
    status, reply = ask("/api/stripe/webhook", body.encode(), {"Stripe-Signature": header})
    assert (status, reply["code"]) == (400, "invalid_signature"), reply
    try:
        stripe.Webhook.construct_event(body, header, SECRET)
        raise AssertionError("the SDK accepts it")
    except stripe.SignatureVerificationError:
        pass
request = urllib.request.Request(f"{API}/api/user/balance", headers=bearer)
assert json.load(urllib.request.urlopen(request))["tokens"] == 5000
print("The webhook accepts the signatures of both SDKs, and refuses what they refuse")
