from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from ca.address import Mailbox
from directory.delivery.dkim_keys import DkimAlgorithm, record_name, record_of, zone_line
from directory.delivery.exchanges.resolving import DnsResolver
from directory.delivery.exchanges.settings import DirectSettings
from directory.delivery.settings import DeliverySettings
from directory.delivery.smarthosts import SmartHosts
from directory.doctor.findings import Diagnosis, Verdict
from directory.doctor.mail import MailDoctor
from directory.organization import Organization
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import a_sealer
from tests.directory.delivery.exchanges.nameserver import FakeDns, name_server
from tests.directory.delivery.sink import SmtpSink, Stage, smtp_sink
from tests.directory.delivery.test_dkim import a_key, a_signing_organization

DOMAIN = "hospital.org"
GOOD_DNS: Mapping[tuple[str, str], str] = {
    (record_name("keys2026", DOMAIN), "TXT"): f'"{record_of(a_key())[:200]}" "{record_of(a_key())[200:]}"',
    (DOMAIN, "TXT"): '"v=spf1 ip4:192.0.2.1 -all"',
    (f"_dmarc.{DOMAIN}", "TXT"): '"v=DMARC1; p=reject"',
    (DOMAIN, "MX"): "10 mx.hospital.org.",
    ("mx.hospital.org", "A"): "192.0.2.1",
}


@dataclass(frozen=True, slots=True)
class Clinic:
    dns: FakeDns
    sink: SmtpSink
    doctor: MailDoctor

    def organization(self, **deviations: object) -> Organization:
        usual = replace(a_signing_organization(), smart_host=self.sink.smart_host())
        return replace(usual, **deviations)  # type: ignore[arg-type]  # any field of Organization

    async def examine(self, organization: Organization | None = None) -> Diagnosis:
        return await self.doctor.examine(organization or self.organization())


@asynccontextmanager
async def a_clinic(
    deviations: Mapping[tuple[str, str], str | None] | None = None,
    *,
    sink: SmtpSink | None = None,
    helo_name: str = "mail.hospital.org",
) -> AsyncIterator[Clinic]:
    """Run a DNS in which all is well but for the deviations, and a smart host."""
    async with name_server() as dns, smtp_sink(sink) as running:
        for (name, kind), data in {**GOOD_DNS, **(deviations or {})}.items():
            if data is not None:
                dns.add(name, kind, data)
        direct = DirectSettings(resolver=dns.name_server)
        settings = DeliverySettings(helo_name=helo_name)
        hosts = SmartHosts(sealer=a_sealer(), clock=StoppedClock(), settings=settings)
        yield Clinic(
            dns,
            running,
            MailDoctor(
                resolver=DnsResolver(direct),
                smart_hosts=hosts,
                sealer=a_sealer(),
                settings=settings,
                direct=direct,
            ),
        )
        await hosts.close()


def verdicts(diagnosis: Diagnosis) -> dict[str, str]:
    return {finding.check: finding.verdict.value for finding in diagnosis.findings}


async def test_finds_nothing_where_all_is_well() -> None:
    async with a_clinic() as clinic:
        diagnosis = await clinic.examine()
    assert diagnosis.is_healthy
    assert set(verdicts(diagnosis).values()) == {"good"}
    assert clinic.sink.transactions == [], "a doctor sends no mail"


async def test_says_which_key_to_publish() -> None:
    async with a_clinic({(record_name("keys2026", DOMAIN), "TXT"): None}) as clinic:
        diagnosis = await clinic.examine()
    [dkim] = [finding for finding in diagnosis.findings if finding.check == "dkim"]
    assert dkim.verdict is Verdict.BAD
    assert dkim.publish == zone_line(record_name("keys2026", DOMAIN), record_of(a_key()))
    assert not diagnosis.is_healthy


@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        ('"v=DKIM1; k=rsa; p="', "bad"),
        ('"v=DKIM1; p=AAAA"', "bad"),
        ('"v=DKIM1; p=!"', "bad"),
        (
            '"v=DKIM1; t=y; " "' + record_of(a_key())[9:200] + '" "' + record_of(a_key())[200:] + '"',
            "warning",
        ),
    ],
)
async def test_compares_the_published_key_with_ours(record: str, verdict: str) -> None:
    async with a_clinic({(record_name("keys2026", DOMAIN), "TXT"): record}) as clinic:
        assert verdicts(await clinic.examine())["dkim"] == verdict


async def test_two_keys_of_one_name_are_none() -> None:
    async with a_clinic() as clinic:
        clinic.dns.add(record_name("keys2026", DOMAIN), "TXT", '"v=DKIM1; p=AAAA"')
        assert verdicts(await clinic.examine())["dkim"] == "bad"


async def test_warns_of_a_key_that_few_receivers_know() -> None:
    record = f'"{record_of(a_key(DkimAlgorithm.ED25519))}"'
    signing = a_signing_organization(DkimAlgorithm.ED25519).correspondence
    async with a_clinic({(record_name("keys2026", DOMAIN), "TXT"): record}) as clinic:
        diagnosis = await clinic.examine(clinic.organization(correspondence=signing))
    assert verdicts(diagnosis)["dkim"] == "warning"


async def test_spf_alone_passes_but_is_frail() -> None:
    async with a_clinic() as clinic:
        unsigned = replace(clinic.organization().correspondence, dkim=None)
        diagnosis = await clinic.examine(clinic.organization(correspondence=unsigned))
    assert verdicts(diagnosis) | {"dkim": "warning", "alignment": "warning"} == verdicts(diagnosis)
    assert diagnosis.is_healthy


async def test_neither_signature_nor_spf_fails_where_the_domain_asks_for_dmarc() -> None:
    no_spf: dict[tuple[str, str], str | None] = {(DOMAIN, "TXT"): '"something else"'}
    async with a_clinic(no_spf) as clinic:
        unsigned = replace(clinic.organization().correspondence, dkim=None)
        diagnosis = await clinic.examine(clinic.organization(correspondence=unsigned))
        assert verdicts(diagnosis)["alignment"] == "bad"
        assert not diagnosis.is_healthy
    async with a_clinic({**no_spf, (f"_dmarc.{DOMAIN}", "TXT"): None}) as clinic:
        unsigned = replace(clinic.organization().correspondence, dkim=None)
        diagnosis = await clinic.examine(clinic.organization(correspondence=unsigned))
        assert verdicts(diagnosis)["alignment"] == "warning"
        assert diagnosis.is_healthy


@pytest.mark.parametrize(
    ("policy", "bounces", "verdict"),
    [
        ('"v=DMARC1; p=reject"', "bounces@mail.hospital.org", "warning"),
        ('"v=DMARC1; p=reject; aspf=s"', "bounces@mail.hospital.org", "bad"),
        ('"v=DMARC1; p=reject"', "bounces@provider.example", "bad"),
    ],
)
async def test_spf_counts_only_for_a_domain_that_fits_from(policy: str, bounces: str, verdict: str) -> None:
    address = Mailbox.parse(bounces)
    dns = {
        (f"_dmarc.{DOMAIN}", "TXT"): policy,
        (address.domain, "TXT"): '"v=spf1 ip4:192.0.2.1 -all"',
    }
    async with a_clinic(dns) as clinic:
        letters = replace(clinic.organization().correspondence, dkim=None, bounce_address=address)
        diagnosis = await clinic.examine(clinic.organization(correspondence=letters))
    assert verdicts(diagnosis)["alignment"] == verdict


async def test_finds_the_policy_of_the_domain_above() -> None:
    dns = {
        ("_dmarc.hospital.org", "TXT"): '"v=DMARC1; p=none; sp=reject"',
        ("mail.hospital.org", "A"): "192.0.2.1",
    }
    async with a_clinic(dns) as clinic:
        sender = Mailbox.parse("keys@mail.hospital.org")
        diagnosis = await clinic.examine(clinic.organization(mail_from=sender))
    [dmarc] = [finding for finding in diagnosis.findings if finding.check == "dmarc"]
    assert dmarc.says == "the record at hospital.org asks for p=reject"


@pytest.mark.parametrize(
    ("check", "name", "record", "verdict"),
    [
        ("spf", DOMAIN, '"v=spf1 +all"', "warning"),
        ("spf", DOMAIN, '"v=spf1 nonsense:x -all"', "bad"),
        ("dmarc", f"_dmarc.{DOMAIN}", '"v=DMARC1; p=whatever"', "warning"),
    ],
)
async def test_finds_fault_with_records(check: str, name: str, record: str, verdict: str) -> None:
    async with a_clinic({(name, "TXT"): record}) as clinic:
        assert verdicts(await clinic.examine())[check] == verdict


async def test_a_smart_host_that_cannot_be_used_is_bad() -> None:
    sink = SmtpSink(always={Stage.GREETING: b"554 5.3.2 closed"})
    async with a_clinic(sink=sink) as clinic:
        diagnosis = await clinic.examine()
    assert verdicts(diagnosis)["smart_host"] == "bad"
    assert "closed" in diagnosis.findings[0].says


async def test_warns_of_a_name_that_nobody_believes() -> None:
    async with a_clinic(helo_name="localhost") as clinic:
        diagnosis = await clinic.examine(clinic.organization(smart_host=None))
    assert verdicts(diagnosis)["own_name"] == "warning"


async def test_warns_where_bounces_are_lost() -> None:
    async with a_clinic({(DOMAIN, "MX"): "0 ."}) as clinic:
        assert verdicts(await clinic.examine())["mx"] == "warning"
