"""Prints each message received by HTTP (local-http.toml) once, if its signature is valid."""

import base64
import hashlib
import hmac
import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
seen = set()


class MessageHandler(BaseHTTPRequestHandler):
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
            message = json.loads(body)["data"]
            print(f"To: {message['to']}\nSubject: {message['subject']}\n\n{message['text']}", flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", 8025), MessageHandler).serve_forever()
