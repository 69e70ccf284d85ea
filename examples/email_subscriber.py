"""Sends the notifications of a loyalty program as e-mail: an example of a subscriber.

    python examples/email_subscriber.py --brokers localhost:9092 --prefix fresh-market --smtp localhost:25

It may be killed at any line. What Kafka delivers is first stored in a small SQLite file by notification id, so that a
second copy changes nothing; it is sent from there when its time has come, and then its content is cleared. A crash
between sending and clearing can send a mail twice, with the same Message-ID, by which mail servers recognise it.
If the machine itself loses power, the last mails may be sent twice, and none is lost.
"""

import argparse
import json
import os
import smtplib
import sqlite3
import sys
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError


def main(o: argparse.Namespace) -> int:
    """Consume until stopped; exit status 1 if mail that is due could not be sent."""
    os.umask(0o077)  # the file and the folder hold addresses
    db = sqlite3.connect(o.state)
    db.execute("pragma journal_mode = wal")
    db.execute("create table if not exists mail (id text primary key, not_before real, use_by real, content blob)")
    consumer = KafkaConsumer(
        f"{o.prefix}.notifications",
        bootstrap_servers=o.brokers.split(","),
        group_id=f"{o.prefix}.email-subscriber",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=2000,
    )
    end = time.monotonic() + o.until_idle + 60  # it may take a minute to join the group
    joined, waiting = False, 0
    with closing(db), closing(consumer), suppress(KeyboardInterrupt):
        while time.monotonic() < end:
            batch = [record for records in consumer.poll(timeout_ms=500).values() for record in records]
            for record in batch:
                with suppress(KeyError, TypeError, ValueError):  # skip what is not a notification
                    event = json.loads(record.value)
                    times = [datetime.fromisoformat(event[name]).timestamp() for name in ("not_before", "use_by")]
                    new = (str(event["notification_id"]), *times, record.value)
                    db.execute("insert or ignore into mail values (?, ?, ?, ?)", new)  # a second copy changes nothing
            db.commit()  # on the disk: after this Kafka may forget the batch
            # What is cleared outlives this process without a wait for the disk after each mail.
            db.execute("pragma synchronous = normal")
            waiting = deliver(db, o)
            db.execute("pragma synchronous = full")
            if batch:
                with suppress(KafkaError):  # what is not committed is delivered again
                    consumer.commit()
            if batch or (consumer.assignment() and not joined):
                joined, end = True, time.monotonic() + o.until_idle
    return 1 if waiting else 0


def deliver(db: sqlite3.Connection, o: argparse.Namespace) -> int:
    """Send what is due, the oldest first; return how many mails wait because the server is unavailable."""
    query = "select id, use_by, content from mail where content is not null and not_before <= ? order by not_before"
    due = db.execute(query, (sys.float_info.max if o.now else time.time(),)).fetchall()
    for sent, (identity, use_by, content) in enumerate(due):
        try:
            if o.now or time.time() < use_by:
                send(identity, json.loads(content), o)
        except (smtplib.SMTPRecipientsRefused, ValueError, LookupError, MessageError) as problem:
            print(f"{identity}: not possible: {type(problem).__name__}", file=sys.stderr)  # never the address
        except OSError as problem:  # all other errors of smtplib are OSErrors
            print(f"{identity}: the server is away: {type(problem).__name__}", file=sys.stderr)
            return len(due) - sent
        db.execute("update mail set content = null where id = ?", (identity,))
        db.commit()
    return 0


def send(identity: str, event: dict[str, Any], o: argparse.Namespace) -> None:
    """Send the mail, or write it into the folder; do nothing if the member wants no e-mail."""
    for to in [one["to"] for one in event["channels"] if one["channel"] == "email"]:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Date"] = o.sender, Address(addr_spec=to), datetime.now(UTC)
        mail["Subject"] = event["rendered"]["subject"]
        mail["Message-ID"] = f"<{identity}@{o.sender.rpartition('@')[2]}>"
        mail.set_content(event["rendered"]["text"])
        if o.mail_folder:
            o.mail_folder.mkdir(parents=True, exist_ok=True)
            (o.mail_folder / f"{Path(identity).name}.eml").write_bytes(bytes(mail))
            continue
        host, _, port = o.smtp.rpartition(":")
        with smtplib.SMTP(host, int(port), timeout=10) as server:
            server.send_message(mail, to_addrs=[to])


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--brokers", default=os.environ.get("LOYALTY_KAFKA_BROKERS", "localhost:9092"))
    options.add_argument("--prefix", default=os.environ.get("LOYALTY_TOPIC_PREFIX", "loyalty"))
    options.add_argument("--smtp", default=os.environ.get("SMTP_SERVER", "localhost:25"), metavar="HOST:PORT")
    options.add_argument("--sender", default=os.environ.get("SMTP_SENDER", "rewards@example.invalid"))
    options.add_argument("--state", type=Path, default=Path("email-subscriber.db"), help="the SQLite file")
    options.add_argument("--mail-folder", type=Path, help="write .eml files there instead of sending")
    options.add_argument("--until-idle", type=float, default=1e18, metavar="SECONDS", help="end after such a silence")
    options.add_argument("--now", action="store_true", help="heed neither not_before nor use_by, for a replayed year")
    sys.exit(main(options.parse_args()))
