"""Requests to a deployment's API, for the operators' scripts."""

import http.client
import json
import time
import urllib.error
import urllib.request

# Statuses after which a retry may succeed, because too many functions were running or a function's
# first start was too slow.
PASSING = {429, 502, 503, 504}


class Unreachable(Exception):
    """Raised for a request without a reply, with the message that the terminal shows."""


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def __str__(self):
        # An HTML page comes from a different server or a gateway, not from the API.
        is_page = "html" in self.headers.get("Content-Type", "")
        return f"{self.status} {'with a page' if is_page else self.body[:300].decode(errors='replace')}"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def send(url, method="GET", body=None, token=None, follow=False, attempts=1, seconds=130):
    """Sends one request, with a body as JSON. Raises `Unreachable` if there is no reply within
    `seconds`."""
    headers = {"User-Agent": "farebox-smoke"}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    opener = urllib.request.build_opener(*([] if follow else [NoRedirect]))
    for attempt in range(attempts):
        try:
            request = urllib.request.Request(url, data, headers, method=method)
            with opener.open(request, timeout=seconds) as reply:
                answered = Reply(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as refused:
            answered = Reply(refused.code, refused.headers, refused.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unreachable(f"{method} {url} gets no reply: {getattr(error, 'reason', None) or error or type(error).__name__}") from error
        if answered.status not in PASSING:
            break
        time.sleep(2 * attempt)
    return answered
