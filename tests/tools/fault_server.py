"""A mail server with faults: aiosmtpd accepts the emails and logs the result of each.

    fault_server.py --ledger FILE --seed S --faults PER_MILLE [--port P] [--forget PER_MILLE]

Prints its port. Several servers may share a port, each with a separate log. A line of the log is a
result, the recipient and, for accepted emails, the Message-ID and the text:

    taken, busy (4xx at the recipient), later (4xx after the data), never (5xx at the recipient),
    unwanted (5xx after the data), middle (cut off in the middle of the data), after (accepted, but
    cut off before the answer).

`--forget`: accepts this many emails per thousand without logging them, to test that the comparison
notices it.
"""

import argparse
import asyncio
import logging
import random
import sys

from aiosmtpd.smtp import SMTP

# After a cut, the rest of an email is read as commands, which aiosmtpd logs.
logging.disable()

FAULTS = ["busy", "later", "never", "unwanted", "middle", "after"]


class Handler:
    def __init__(self, args):
        self.random = random.Random(f"{args.seed} {args.ledger}")
        self.args = args
        self.ledger = open(args.ledger, "a", buffering=1)

    def note(self, *words):
        self.ledger.write("\t".join(words) + "\n")

    async def handle_RCPT(self, server, session, envelope, address, options):
        # Probed when a rejection does not say which address it is about; gets no email.
        if address.startswith("postmaster@"):
            return "250 OK"
        hit = self.random.randrange(1000) < self.args.faults
        envelope.fault = self.random.choice(FAULTS) if hit else None
        if envelope.fault in ("busy", "never"):
            self.note(envelope.fault, address)
            busy = envelope.fault == "busy"
            return "451 4.3.0 try again" if busy else "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        address, fault = envelope.rcpt_tos[0], envelope.fault
        if fault in ("later", "unwanted"):
            self.note(fault, address)
            return "451 4.3.0 try again" if fault == "later" else "554 5.7.1 not wanted"
        if self.random.randrange(1000) < self.args.forget:
            return "250 OK"
        head, _, text = envelope.content.decode().partition("\r\n\r\n")
        lines = [line for line in head.split("\r\n") if line.lower().startswith("message-id:")]
        word = "after" if fault == "after" else "taken"
        self.note(word, address, lines[0].split()[1], text.strip())
        if fault == "after":
            server.transport.abort()
        return "250 OK"


class Server(SMTP):
    async def smtp_DATA(self, arg):
        if getattr(self.envelope, "fault", None) == "middle":
            self.event_handler.note("middle", self.envelope.rcpt_tos[0])
            await self.push("354 go on")
            await self._reader.readline()
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--faults", type=int, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--forget", type=int, default=0)
    args = parser.parse_args()
    handler = Handler(args)
    loop = asyncio.get_running_loop()
    server = lambda: Server(handler, hostname="localhost")
    listening = await loop.create_server(server, "127.0.0.1", args.port, reuse_port=True)
    print(listening.sockets[0].getsockname()[1], flush=True)
    # Ends when its parent process ends.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
