"""A mail server for tests: aiosmtpd takes the mails, and Python's `email` reads them.

Prints its port, then a line of JSON for each mail that it took. What it does with a mail is in the
address: `busy`, `later` and `drop` are refused for now, refused after their data and cut off in
the middle of them, each the first time; `never` is refused for good.
"""

import email
import email.policy
import json
import sys

from aiosmtpd.controller import UnthreadedController
import asyncio


class Handler:
    def __init__(self):
        self.seen = set()

    def first(self, word, address):
        if not address.startswith(word) or (word, address) in self.seen:
            return False
        self.seen.add((word, address))
        return True

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never"):
            return "550 5.1.1 no such mailbox"
        if self.first("busy", address):
            return "451 4.3.0 try again"
        if address.startswith("drop") and self.first("drop", address):
            # The connection ends while the mail is on its way.
            asyncio.get_running_loop().call_later(0.0, server.transport.abort)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        address = envelope.rcpt_tos[0]
        if self.first("later", address):
            return "451 4.3.0 try again"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: mail.get_body((kind,))
        text, html = part("plain"), part("html")
        taken = {
            "envelope": [envelope.mail_from, *envelope.rcpt_tos],
            "headers": [[name.lower(), str(value)] for name, value in mail.items()],
            "text": text and text.get_content(),
            "html": html and html.get_content(),
            "defects": [str(defect) for defect in mail.defects],
        }
        print(json.dumps(taken), flush=True)
        return "250 OK"


async def main():
    loop = asyncio.get_running_loop()
    controller = UnthreadedController(Handler(), hostname="127.0.0.1", port=0, loop=loop)
    server = await controller._create_server()
    print(server.sockets[0].getsockname()[1], flush=True)
    # Ends with whoever started it.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
