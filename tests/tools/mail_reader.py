"""Parses emails with Python's `email`, for tests: one line of JSON per file argument."""

import email
import email.policy
import json
import sys


def boxes(mail, name):
    header = mail[name]
    return header and [[box.display_name, box.addr_spec] for box in header.addresses]


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    mail = email.message_from_bytes(data, policy=email.policy.default)
    part = lambda kind: mail.get_body((kind,))
    text, html = part("plain"), part("html")
    defects = [part.defects for part in mail.walk()]
    defects += [value.defects for _, value in mail.items()]
    head = data.split(b"\r\n\r\n")[0]
    return {
        "headers": [[name.lower(), str(value)] for name, value in mail.items()],
        "from": boxes(mail, "from"),
        "to": boxes(mail, "to"),
        "replyTo": boxes(mail, "reply-to"),
        "kinds": [part.get_content_type() for part in mail.walk()],
        "text": text and text.get_content(),
        "html": html and html.get_content(),
        "defects": [str(defect) for some in defects for defect in some],
        # RFC 5322, 2.1.1: a line is at most 998 characters; and RFC 2047 leaves none above ASCII.
        "longest": max(len(line) for line in data.split(b"\r\n")),
        "bare": data.replace(b"\r\n", b"").count(b"\n") + data.replace(b"\r\n", b"").count(b"\r"),
        "controls": sum(byte < 32 and byte not in b"\t\r\n" or byte == 127 for byte in data),
        "ascii": head.isascii(),
    }


for path in sys.argv[1:]:
    print(json.dumps(read(path)), flush=True)
