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
            if gateway is None:
                asker: Asker = Anonymous(may_read=True)
                return await opened.reading_lookup().answer(Question(mailbox=mailbox, asker=asker))
            async with opened.minting_lookup() as minting:
                asker = await opened.register.gateway(gateway)
                return await minting.answer(Question(mailbox=mailbox, asker=asker))

    match run(work()):
        case Found(certificate=certificate):
            enrolment_id = None
        case Minted(certificate=certificate, enrolment_id=enrolment_id):
            pass
        case Absent(refusal=refusal):
            fail(f"no certificate for this address: {refusal}", EXIT_ABSENT)
        case Deferred(refusal=refusal, retry_after=retry_after):
            fail(f"not just now: {refusal}; try again in {retry_after}", EXIT_DEFERRED)
    pem = x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM).decode()
    document = {
        "address": str(certificate.mailbox),
        "certificate": pem,
        "serial": f"{certificate.serial:x}",
        "not_after": certificate.not_after.isoformat(),
        "origin": certificate.origin.value,
        "enrolment_id": enrolment_id,
    }
    show(document, as_json=as_json, lines=[pem.rstrip("\n")])
