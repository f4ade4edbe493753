"""A provider for tests: Python's `http.server` receives the requests, `standardwebhooks` verifies them.

Prints its port, then one line of JSON per request. With a certificate and its key as arguments it
speaks TLS. The last segment of the path selects the behaviour: `busy`, `date`, `down`, `slow`,
`drop` and `cut` fail the first request of each identity in different ways; the others always do the
same. `/bot…`, `/2010-04-01/…` and `/message/…` answer as documented by Telegram, Twilio and
TurboSMS, and reject requests of any other shape; with the token `page` they answer with an HTML
page.
"""

import base64
import email.utils
import http.server
import json
import ssl
import sys
import threading
import time
import urllib.parse

import standardwebhooks

# The secrets that tests sign with.
SECRETS = {
    "new": "whsec_" + base64.b64encode(b"n" * 24).decode(),
    "old": "whsec_" + base64.b64encode(b"o" * 64).decode(),
    "other": "whsec_" + base64.b64encode(b"x" * 32).decode(),
}


def verified_by(headers, body):
    """Returns the secrets that verify the request."""
    verified = []
    for name, secret in SECRETS.items():
        try:
            standardwebhooks.Webhook(secret).verify(body, headers)
            verified.append(name)
        except standardwebhooks.WebhookVerificationError:
            pass
    return verified


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = set()
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def first(self, word):
        with self.lock:
            key = (word, self.headers.get("Idempotency-Key"))
            first = key not in self.seen
            self.seen.add(key)
            return first

    def answer(self, status, body=None, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        reported = {
            "method": self.command,
            "path": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "body": body.decode(),
            "verifiedBy": verified_by(dict(self.headers), body),
        }
        print(json.dumps(reported), flush=True)
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/botpage/") or self.headers.get("Authorization") == "Bearer page":
            return self.on_page()
        for start, provider in PROVIDERS.items():
            if path.startswith(start):
                return self.answer(*provider(self, path, body))
        word = path.rsplit("/", 1)[-1].split("-")[0]
        act = getattr(self, "on_" + word, None)
        if act is None:
            self.answer(200, {"ok": True})
        else:
            act()

    do_GET = do_PUT = do_PATCH = do_POST

    def on_status(self):
        """Always answers with the status in the path: `status-409`."""
        self.answer(int(self.path.rsplit("-", 1)[-1]), {"ok": False})

    def once(self, status, headers=()):
        if self.first(status):
            self.answer(status, {"ok": False}, headers)
        else:
            self.answer(200, {"ok": True})

    def on_busy(self):
        self.once(429, [("Retry-After", "3600")])

    def on_date(self):
        at = email.utils.formatdate(time.time() + 7200, usegmt=True)
        self.once(503, [("Retry-After", at)])

    def on_down(self):
        self.once(500)

    def on_slow(self):
        if self.first("slow"):
            time.sleep(4)
        self.answer(200, {"ok": True})

    def on_drop(self):
        if not self.first("drop"):
            return self.answer(200, {"ok": True})
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
        self.close_connection = True

    def on_cut(self):
        """Sends an incomplete answer."""
        if not self.first("cut"):
            return self.answer(200, {"ok": True})
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"ok": tr')
        self.close_connection = True

    def on_drip(self):
        """Sends an endless answer, one byte at a time."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            for _ in range(1000):
                self.wfile.write(b" ")
                time.sleep(0.1)
        except OSError:
            pass
        self.close_connection = True

    def on_huge(self):
        self.send_response(200)
        self.send_header("Content-Length", str(64 << 20))
        self.end_headers()
        try:
            for _ in range(64):
                self.wfile.write(b" " * (1 << 20))
        except OSError:
            pass
        self.close_connection = True

    def on_away(self):
        self.answer(302, None, [("Location", "/elsewhere")])

    def on_wrong(self):
        self.answer(200, {"ok": False, "error": {"code": 7, "text": "no " + self.path}})

    def on_wait(self):
        self.answer(200, {"ok": False, "error": {"code": "9"}, "wait": 90})

    def on_text(self):
        self.answer(200, "fine")

    def on_page(self):
        """Answers with an HTML page."""
        data = b"<html><body>Back soon</body></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def on_never(self):
        self.answer(400, {"error": "no " + self.path})

    def on_login(self):
        self.answer(401)


def telegram(request, path, body):
    """https://core.telegram.org/bots/api#sendmessage and #sendphoto"""

    def failed(code, description, **parameters):
        answer = {"ok": False, "error_code": code, "description": description}
        if parameters:
            answer["parameters"] = parameters
        return code, answer

    _, bot, method = urllib.parse.unquote(path).split("/")
    if bot != "bot123456:ABC-DEF":
        return failed(401, "Unauthorized")
    required, fields = {
        "sendMessage": ({"chat_id", "text"}, {"reply_markup"}),
        "sendPhoto": ({"chat_id", "photo"}, {"caption", "reply_markup"}),
    }[method]
    if request.headers.get("Content-Type") != "application/json":
        return failed(400, "Bad Request: message text is empty")
    message = json.loads(body)
    if not required <= message.keys() <= required | fields or "" in message.values():
        return failed(400, "Bad Request: message text is empty")
    for row in message.get("reply_markup", {}).get("inline_keyboard", []):
        if any(button.keys() != {"text", "url"} for button in row):
            return failed(400, "Bad Request: can't parse inline keyboard button")
    chat = str(message["chat_id"])
    if chat == "blocked":
        return failed(403, "Forbidden: bot was blocked by the user")
    if chat == "flood":
        return failed(429, "Too Many Requests: retry after 34", retry_after=34)
    if not chat.isdigit():
        return failed(400, "Bad Request: chat not found")
    return 200, {"ok": True, "result": {"message_id": 1}}


def twilio(request, path, body):
    """https://www.twilio.com/docs/messaging/api/message-resource"""

    def failed(status, code, message):
        about = f"https://www.twilio.com/docs/errors/{code}"
        return status, {"code": code, "message": message, "more_info": about, "status": status}

    login = base64.b64encode(b"AC00000000000000000000000000000000:token").decode()
    if request.headers.get("Authorization") != "Basic " + login:
        return failed(401, 20003, "Authenticate")
    if path != "/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json":
        return failed(404, 20404, "The requested resource was not found")
    if request.headers.get("Content-Type") != "application/x-www-form-urlencoded":
        return failed(400, 21604, "A 'To' phone number is required.")
    form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
    if not form.get("To", "").startswith("+"):
        return failed(400, 21211, f"The 'To' number {form.get('To')} is not a valid phone number.")
    if form["To"] == "+15005550004":
        return failed(400, 21610, "Attempt to send to unsubscribed recipient")
    if not form.get("From"):
        return failed(400, 21603, "A 'From' phone number is required.")
    if not form.get("Body"):
        return failed(400, 21602, "Message body is required.")
    message = {"sid": "SM1", "status": "queued", "to": form["To"], "body": form["Body"]}
    return 201, {**message, "error_code": None, "error_message": None}


def turbosms(request, path, body):
    """https://turbosms.ua/en/api.html: every answer has the status 200."""

    def answer(code, status, result=None):
        body = {"response_code": code, "response_status": status, "response_result": result}
        return 200, body

    if request.headers.get("Authorization") != "Bearer turbo":
        return answer(301, "INVALID_TOKEN")
    if path != "/message/send.json" or request.headers.get("Content-Type") != "application/json":
        return answer(300, "INVALID_REQUEST")
    message = json.loads(body)
    recipients = message.get("recipients")
    if not isinstance(recipients, list) or not recipients:
        return answer(202, "REQUIRED_MESSAGE_RECIPIENT")
    for way in ("sms", "viber"):
        if way in message and not message[way].get("text"):
            return answer(201, "REQUIRED_MESSAGE_TEXT")
        if way in message and not message[way].get("sender"):
            return answer(200, "REQUIRED_MESSAGE_SENDER")
    if "sms" not in message and "viber" not in message:
        return answer(201, "REQUIRED_MESSAGE_TEXT")
    phone = recipients[0]
    recipient = {"phone": phone, "message_id": None}
    if phone == "380500000000":
        return answer(999, "FATAL_ERROR")
    if phone == "380500000404":
        refused = {"response_code": 404, "response_status": "NOT_ALLOWED_NUMBER_STOPLIST"}
        return answer(802, "SUCCESS_MESSAGE_PARTIAL_ACCEPTED", [{**recipient, **refused}])
    if not phone.isdigit():
        return answer(305, "INVALID_PHONE")
    taken = {"response_code": 0, "response_status": "OK", "message_id": "m-1"}
    return answer(800, "SUCCESS_MESSAGE_ACCEPTED", [{**recipient, **taken}])


PROVIDERS = {"/bot": telegram, "/2010-04-01/": twilio, "/message/": turbosms}


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    if len(sys.argv) > 1:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Ends when its parent process ends.
    sys.stdin.read()


main()
