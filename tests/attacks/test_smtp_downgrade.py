"""Somebody on the way to a recipient's mail exchanger wants the key package: in clear, or sent to himself.

He can forge what DNSSEC does not protect, drop what he likes, and stand in between. What he gets is TLS at
least, and where the domain published a policy, nothing.
"""

from pathlib import Path

import pytest

from directory.delivery.replies import Accepted, Transient
from directory.delivery.tls_faults import TlsFault
from tests.directory.delivery.exchanges.servers import PolicyHost, a_server, an_exchanger
from tests.directory.delivery.exchanges.world import DOMAIN, a_world
from tests.directory.delivery.sink import SmtpSink, Stage

INJECTED = (
    b"250-mx\r\n250-DSN\r\n250 AUTH PLAIN",
    b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n250 2.0.0 queued",
    b"554 5.3.2 go away",
)


async def test_an_offer_of_tls_that_was_stripped_gets_no_mail(tmp_path: Path) -> None:
    stripped = SmtpSink(extensions=(b"XXXXXXXA", b"8BITMIME"))
    async with a_world(tmp_path, stripped) as world:
        outcome = await world.send()
    assert isinstance(outcome, Transient)
    assert outcome.failure.tls is TlsFault.NOT_OFFERED
    assert stripped.transactions == []


@pytest.mark.parametrize("injected", INJECTED)
async def test_words_behind_the_reply_to_starttls_are_not_believed(tmp_path: Path, injected: bytes) -> None:
    sink = an_exchanger("mx1.example.org")
    sink.script = {Stage.STARTTLS: [b"220 go ahead\r\n" + injected]}
    async with a_world(tmp_path, sink) as world:
        outcome = await world.send()
    assert isinstance(outcome, Accepted)
    assert outcome.response == "250 2.0.0 queued as 4F2A"
    [transaction] = sink.accepted
    assert transaction.under_tls
    assert transaction.mail == b"MAIL FROM:<keys@hospital.org>"


async def test_forged_exchangers_get_nothing_once_a_policy_is_known(tmp_path: Path) -> None:
    own, forged = an_exchanger("mx1.example.org"), an_exchanger("mx1.evil.example")
    async with a_world(tmp_path, own, policy=PolicyHost()) as world:
        await world.send()
        known = world.kept.policies
    async with a_world(tmp_path, forged, mx=["10 mx1.evil.example."]) as world:
        # Nor is there a word of a policy any more: it was dropped as well.
        world.dns.add("mx1.evil.example", "A", "127.0.0.1")
        world.kept.policies = known
        assert isinstance(await world.send(), Transient)
    assert forged.connections == 0


async def test_a_certificate_for_the_right_name_from_the_wrong_issuer_gets_nothing(tmp_path: Path) -> None:
    forged = SmtpSink(
        extensions=(b"STARTTLS",), tls=a_server("mx1.example.org", issuer="Man in the Middle").context()
    )
    async with a_world(tmp_path, forged, policy=PolicyHost()) as world:
        assert isinstance(await world.send(), Transient)
    assert forged.transactions == []


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1"])
async def test_a_strangers_dns_leads_nobody_inside(tmp_path: Path, inside: str) -> None:
    sink, policy = an_exchanger("mx1.example.org"), PolicyHost()
    async with a_world(tmp_path, sink, policy=policy, allow_private=False) as world:
        world.dns.records[f"mx1.{DOMAIN}", "A"] = [inside]
        world.dns.records[f"mta-sts.{DOMAIN}", "A"] = [inside]
        outcome = await world.send()
    assert isinstance(outcome, Transient)
    assert outcome.failure.reason == f"mx1.{DOMAIN} has no public address"
    assert sink.connections == 0
    assert policy.requests == []
