"""Without a smart host: from the lookup to the recipient's own mail exchanger, signed and under TLS."""

import asyncio
from pathlib import Path

import dkim
import httpx

from tests.directory.delivery.exchanges.nameserver import name_server
from tests.directory.delivery.exchanges.servers import an_exchanger, listening
from tests.service import UNHURRIED, Running, install, serving, succeed

RECIPIENT = "anna@example.com"


def looked_up(running: Running) -> str:
    """Look the recipient up, wait until his mail was accepted, and return the state of his delivery."""
    with httpx.Client(base_url=running.http, timeout=30) as client:
        gateway = {"Authorization": f"Bearer {running.installed.gateway_token}"}
        agent = {"Authorization": f"Bearer {running.installed.agent_token}"}
        answer = client.post("/api/v1/lookup", json={"email": RECIPIENT}, headers=gateway)
        assert answer.status_code == 200, answer.text
        enrolment = answer.json()["enrolment_id"]
        state = "queued"
        while state == "queued":
            state = client.get(f"/api/v1/enrolments/{enrolment}", headers=agent).json()["delivery"]
    return str(state)


async def test_a_key_mail_goes_to_the_recipients_own_exchanger(tmp_path: Path) -> None:
    sink = an_exchanger("mx1.example.com", issuer="Of Its Own")
    async with name_server() as dns, listening(sink) as port:
        dns.add("example.com", "MX", "10 mx1.example.com.")
        dns.add("mx1.example.com", "A", "127.0.0.1")
        installed = await asyncio.to_thread(install, tmp_path / "pushpki", smtp="mx:")
        where = ("--config", str(installed.config))
        key = await asyncio.to_thread(succeed, "org", "dkim", "hospital", "--selector", "keys", *where)
        variables = {
            **UNHURRIED,
            "PUSHPKI_DIRECT__RESOLVER": f"127.0.0.1:{dns.port}",
            "PUSHPKI_DIRECT__ALLOW_PRIVATE": "true",
            "PUSHPKI_DIRECT__PORT": str(port),
        }
        with serving(installed, variables=variables) as running:
            async with asyncio.timeout(60):
                assert await asyncio.to_thread(looked_up, running) in {"accepted", "proven"}
    [transaction] = sink.accepted
    assert transaction.under_tls
    assert transaction.recipients[0].startswith(f"RCPT TO:<{RECIPIENT}>".encode())
    assert await asyncio.to_thread(
        dkim.verify, transaction.message, dnsfunc=lambda *_, **__: str(key["record"]).encode()
    )
