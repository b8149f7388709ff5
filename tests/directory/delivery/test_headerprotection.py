import email
from dataclasses import replace
from email import policy

from ca.address import Mailbox
from directory.delivery.headerprotection import payload_of
from directory.delivery.mime import Message
from tests.directory.delivery.builders import NOW

MESSAGE = Message(
    sender_name="Städtisches Klinikum am Rande der großen Stadt hinter den sieben Bergen",
    sender=Mailbox.parse("keys@hospital.org"),
    recipient=Mailbox.parse("anna@example.org"),
    subject="Ihr Schlüssel funktioniert: bitte bestätigen",
    date=NOW,
    message_id="<1.proof@hospital.org>",
    language="de",
    plain="Guten Tag,",
    html="<p>Guten Tag,</p>",
)
INNER = MESSAGE.to_bytes()
OUTER = replace(MESSAGE, subject="Eine verschlüsselte Nachricht").to_bytes()


def test_the_subject_that_its_reader_sees_is_inside() -> None:
    payload = email.message_from_bytes(payload_of(INNER, OUTER), policy=policy.default)

    assert payload["Subject"] == MESSAGE.subject
    assert payload["From"] == email.message_from_bytes(INNER, policy=policy.default)["From"]
    assert payload["To"] == "anna@example.org"
    assert payload["Message-ID"] == MESSAGE.message_id


def test_it_says_that_it_was_made_to_be_encrypted() -> None:
    payload = email.message_from_bytes(payload_of(INNER, OUTER), policy=policy.default)

    assert payload["Content-Type"].params["hp"] == "cipher"
    assert payload.get_content_type() == "multipart/alternative"
    assert payload["MIME-Version"] is None


def test_it_repeats_what_was_shown_on_the_way() -> None:
    payload = email.message_from_bytes(payload_of(INNER, OUTER))
    outer = email.message_from_bytes(OUTER)

    shown = [value.partition(":") for value in payload.get_all("HP-Outer", [])]
    assert {(name, value.strip()) for name, _, value in shown} == {
        (name, value)
        for name, value in outer.items()
        if name != "MIME-Version" and not name.startswith("Content-")
    }


def test_folded_headers_stay_whole_and_lines_short() -> None:
    payload = payload_of(INNER, OUTER)

    assert all(len(line) <= 90 for line in payload.split(b"\r\n"))
    assert payload.replace(b"\r\n", b"").count(b"\n") == 0
    assert email.message_from_bytes(payload).defects == []


def test_the_words_are_the_same() -> None:
    payload = email.message_from_bytes(payload_of(INNER, OUTER), policy=policy.default)
    body = payload.get_body()

    assert body is not None
    assert body.get_content().strip() == "<p>Guten Tag,</p>"
