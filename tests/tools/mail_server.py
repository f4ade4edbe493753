"""A mail server for tests: aiosmtpd accepts the emails, and Python's `email` parses them.

Prints its port, then one line of JSON per accepted email. The address selects the behaviour.
Permanent rejections (5xx): `never` and `private` at the recipient, `unwanted` after the data; every
recipient after `limit` is exceeded, for `blocked.example`, or with the sender `nobody`. `garbled`
gets an invalid answer. Only the first time: `busy` is rejected temporarily (4xx) at the recipient
and `later` after the data; the connection is cut before the data (`drop`), in the middle of the
data (`middle`), or after acceptance but before the answer (`after`). `slow` is answered slowly,
`stuck` never.

    mail_server.py [--tls starttls|tls --authority FILE] [--login USER:PASSWORD]

With `--tls` it creates a certificate authority and writes its certificate into FILE.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


# The tests cause these warnings on purpose.
logging.disable()
warnings.simplefilter("ignore")


class Handler:
    def __init__(self):
        self.seen = set()

    def first(self, word, address):
        if not address.startswith(word) or (word, address) in self.seen:
            return False
        self.seen.add((word, address))
        return True

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return f"553 5.7.1 <{address}>: Sender address rejected"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("private"):
            return f"550 5.7.1 <{address}>: only members write to it"
        if address.startswith("limit"):
            return "550 5.4.5 Daily sending limit exceeded"
        if address.endswith("@blocked.example"):
            return "554 5.7.1 Client host blocked"
        if address.startswith("garbled"):
            return f"55O {address} unknown"
        if address.startswith("slow"):
            await asyncio.sleep(0.5)
        if address.startswith("stuck"):
            await asyncio.sleep(3600)
        if self.first("busy", address):
            return "451 4.3.0 try again"
        if self.first("drop", address):
            # The connection ends while the email is in transit.
            asyncio.get_running_loop().call_later(0.0, server.transport.abort)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        address = envelope.rcpt_tos[0]
        if self.first("later", address):
            return "451 4.3.0 try again"
        if address.startswith("unwanted"):
            return "554 5.7.1 not wanted"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: mail.get_body((kind,))
        text, html = part("plain"), part("html")
        bare = envelope.content.replace(b"\r\n", b"")
        taken = {
            "hello": session.host_name,
            "bare": sum(bare.count(mark) for mark in (b"\r", b"\n", b"\0")),
            "envelope": [envelope.mail_from, *envelope.rcpt_tos],
            "headers": [[name.lower(), str(value)] for name, value in mail.items()],
            "text": text and text.get_content(),
            "html": html and html.get_content(),
            "defects": [str(defect) for defect in mail.defects],
            "encrypted": server.transport.get_extra_info("ssl_object") is not None,
            "login": session.auth_data and session.auth_data.decode(),
        }
        print(json.dumps(taken), flush=True)
        if self.first("after", address):
            server.transport.abort()
        return "250 OK"


class Server(SMTP):
    async def smtp_DATA(self, arg):
        rcpt = self.envelope.rcpt_tos
        if rcpt and self.event_handler.first("middle", rcpt[0]):
            await self.push("354 go on")
            await self._reader.readline()
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


def encrypted(authority):
    import trustme

    ca = trustme.CA()
    ca.cert_pem.write_to_path(authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    return context


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", choices=["starttls", "tls"])
    parser.add_argument("--authority")
    parser.add_argument("--login")
    args = parser.parse_args()
    context = args.tls and encrypted(args.authority)
    handler = Handler()

    def login(server, session, envelope, mechanism, auth_data):
        given = f"{auth_data.login.decode()}:{auth_data.password.decode()}"
        if given != args.login:
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=auth_data.login)

    def server():
        return Server(
            handler,
            hostname="localhost",
            tls_context=context if args.tls == "starttls" else None,
            require_starttls=args.tls == "starttls",
            authenticator=login if args.login else None,
            auth_required=args.login is not None,
            auth_require_tls=False,
        )

    loop = asyncio.get_running_loop()
    implicit = context if args.tls == "tls" else None
    listening = await loop.create_server(server, "127.0.0.1", 0, ssl=implicit)
    print(listening.sockets[0].getsockname()[1], flush=True)
    # Ends when its parent process ends.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
