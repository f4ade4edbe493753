"""Prints the letters that come by HTTP (local-http.toml), each once, if their signature is right."""

import base64
import hashlib
import hmac
import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
seen = set()


class Letters(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        identity = self.headers["webhook-id"]
        signed = f"{identity}.{self.headers['webhook-timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
        if not any(
            hmac.compare_digest(given, f"v1,{signature}")
            for given in self.headers["webhook-signature"].split(" ")
        ):
            self.send_response(401)
            return self.end_headers()
        if identity not in seen:
            seen.add(identity)
            letter = json.loads(body)["data"]
            print(f"To: {letter['to']}\nSubject: {letter['subject']}\n\n{letter['text']}", flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", 8025), Letters).serve_forever()
