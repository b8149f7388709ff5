"""`pushpki lookup`: what the directory answers, seen by an operator or as one of the gateways."""

from datetime import timedelta
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.address import Mailbox
from directory.callers import Anonymous, Asker
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, fail, show
from directory.lookup import Absent, Answer, Deferred, Found, Minted, Question
from directory.policy import Refusal
from directory.settings import parse_recipient
from directory.wiring import minting

EXIT_ABSENT = 1
EXIT_DEFERRED = 75


def lookup(
    address: Annotated[str, typer.Argument(help="The recipient's mail address.")],
    *,
    gateway: Annotated[
        str | None, typer.Option(help="Ask as this gateway; what is absent may then be minted.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Look one address up. Without --gateway the directory is only read."""
    mailbox = parse_recipient("ADDRESS", address)

    async def work() -> Answer:
        async with installation(config) as opened:
            asker: Asker = await opened.gateway(gateway) if gateway else Anonymous(may_read=True)
            answering = minting.lookup(
                opened, minting.CommandMinter(opened, operator()), patience=minting.A_PERSONS_PATIENCE
            )
            return await answering.answer(Question(mailbox=mailbox, asker=asker))

    answer = run(work())
    match answer:
        case Found() | Minted():
            _show_certificate(answer, as_json=as_json)
        case Absent(refusal=refusal):
            _show_refusal(mailbox, refusal, None, as_json=as_json)
            fail(f"no certificate for {mailbox}: {refusal}", EXIT_ABSENT)
        case Deferred(refusal=refusal, retry_after=retry_after):
            _show_refusal(mailbox, refusal, retry_after, as_json=as_json)
            fail(f"not just now: {refusal}; ask again in {retry_after.total_seconds():.0f} s", EXIT_DEFERRED)


def _show_certificate(answer: Found | Minted, *, as_json: bool) -> None:
    certificate = answer.certificate
    pem = x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM).decode()
    document = {
        "address": str(certificate.mailbox),
        "certificate": pem,
        "serial": f"{certificate.serial:x}",
        "not_after": certificate.not_after.isoformat(),
        "origin": certificate.origin.value,
        "enrolment_id": answer.enrolment_id if isinstance(answer, Minted) else None,
    }
    show(document, as_json=as_json, lines=[pem.rstrip("\n")])


def _show_refusal(
    mailbox: Mailbox, refusal: Refusal, retry_after: timedelta | None, *, as_json: bool
) -> None:
    document = {
        "address": str(mailbox),
        "certificate": None,
        "refusal": refusal.value,
        "retry_after_seconds": None if retry_after is None else retry_after.total_seconds(),
    }
    show(document, as_json=as_json, lines=[])
