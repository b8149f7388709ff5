"""`pushpki lookup`: what the directory answers, seen by an operator or as one of the gateways."""

from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from directory.callers import Anonymous, Asker
from directory.cli.opening import Config, installation, run
from directory.cli.output import Json, fail, show
from directory.lookup import Absent, Answer, Deferred, Found, Minted, Question
from directory.settings import parse_mailbox
from directory.wiring.minting import minting_lookup

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
    mailbox = parse_mailbox("ADDRESS", address)

    async def work() -> Answer:
        async with installation(config) as opened:
            asker: Asker = await opened.gateway(gateway) if gateway else Anonymous(may_read=True)
            async with minting_lookup(opened) as answering:
                return await answering.answer(Question(mailbox=mailbox, asker=asker))

    answer = run(work())
    match answer:
        case Absent(refusal=refusal):
            fail(f"no certificate for this address: {refusal}", EXIT_ABSENT)
        case Deferred(refusal=refusal, retry_after=retry_after):
            fail(f"not just now: {refusal}; try again in {retry_after}", EXIT_DEFERRED)
        case Found() | Minted():
            _show_answer(answer, as_json=as_json)


def _show_answer(answer: Found | Minted, *, as_json: bool) -> None:
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
