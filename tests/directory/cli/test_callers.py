"""`pushpki gateway` and `pushpki agent`: tokens are shown once, and taken away for good."""

import asyncio
import os
import re

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from directory.callers import Agent, Authentication, Gateway
from directory.settings import load_settings
from directory.wiring.installation import open_installation
from tests.directory.cli.workplace import Workplace

TOKEN = re.compile(r"pp(gw|ra)_[0-9a-f]{16}_[0-9a-f]{40}")


def whose(workplace: Workplace, token: str) -> Gateway | Agent | None:
    async def find() -> Gateway | Agent | None:
        async with open_installation(load_settings(workplace.config), None) as opened:
            authentication = Authentication(opened.callers)
            return await authentication.gateway(token) or await authentication.agent(token)

    return asyncio.run(find())


def test_a_gateways_token_is_its_own(workplace: Workplace) -> None:
    added = workplace.document("gateway", "add", "reader", "--org", "hospital", "--no-mint")

    assert TOKEN.fullmatch(added["token"])
    gateway = whose(workplace, added["token"])
    assert isinstance(gateway, Gateway)
    assert (gateway.name, gateway.may_mint, added["gateway"]) == ("reader", False, "reader")
    assert added["token"] not in workplace.pushpki("gateway", "list", "--org", "hospital").out


def test_an_agents_token_is_his_own(workplace: Workplace) -> None:
    added = workplace.document("agent", "add", "Desk@Hospital.org", "--org", "hospital")

    agent = whose(workplace, added["token"])
    assert isinstance(agent, Agent)
    assert (agent.email, added["agent"]) == ("desk@hospital.org", "desk@hospital.org")


@pytest.mark.parametrize(
    ("noun", "name"), [("gateway", "gw-2"), ("agent", "desk@hospital.org")], ids=["gateway", "agent"]
)
def test_people_are_told_that_a_token_is_shown_once(workplace: Workplace, noun: str, name: str) -> None:
    told, token = workplace.lines(noun, "add", name, "--org", "hospital")

    assert name in told
    assert "once" in told
    assert TOKEN.fullmatch(token)


@pytest.mark.parametrize(("noun", "name"), [("gateway", "gw"), ("agent", "agent@hospital.org")])
def test_a_disabled_caller_is_nobody_but_still_listed(workplace: Workplace, noun: str, name: str) -> None:
    (before,) = workplace.document(noun, "list", "--org", "hospital")[f"{noun}s"]
    assert workplace.lines(noun, "list", "--org", "hospital") == [f"{name}\tactive"]

    done = workplace.document(noun, "disable", name, "--org", "hospital", "--yes")

    assert done == {noun: name, "disabled": True}
    (after,) = workplace.document(noun, "list", "--org", "hospital")[f"{noun}s"]
    assert before["disabled_at"] is None
    assert after == before | {"disabled_at": after["disabled_at"]}
    assert after["disabled_at"] >= after["created_at"]
    assert workplace.lines(noun, "list", "--org", "hospital") == [f"{name}\tdisabled"]
    assert f"no {noun} '{name}'" in workplace.refusal(
        noun, "disable", name, "--org", "hospital", "--yes", code=66
    )


def test_a_token_is_worthless_once_its_gateway_is_disabled(workplace: Workplace) -> None:
    token = workplace.document("gateway", "add", "gw-2", "--org", "hospital")["token"]

    assert workplace.lines("gateway", "disable", "gw-2", "--org", "hospital", "--yes") == [
        "Gateway gw-2 disabled."
    ]

    assert whose(workplace, token) is None


@pytest.mark.parametrize(("noun", "name"), [("gateway", "gw"), ("agent", "agent@hospital.org")])
def test_without_a_terminal_what_cannot_be_undone_wants_yes(
    workplace: Workplace, noun: str, name: str
) -> None:
    line = workplace.refusal(noun, "disable", name, "--org", "hospital", code=78)

    assert "--yes" in line
    assert name in line
    assert workplace.lines(noun, "list", "--org", "hospital") == [f"{name}\tactive"]


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("gateway", "add", "gw-2", "--org", "nobody"), 66, "no organization 'nobody'"),
        (("gateway", "list", "--org", "nobody"), 66, "no organization 'nobody'"),
        (("gateway", "disable", "gw", "--org", "nobody", "--yes"), 66, "no organization 'nobody'"),
        (("agent", "add", "a@b.org", "--org", "nobody"), 66, "no organization 'nobody'"),
        (("agent", "list", "--org", "nobody"), 66, "no organization 'nobody'"),
        (("agent", "disable", "a@b.org", "--org", "nobody", "--yes"), 66, "no organization 'nobody'"),
        (("gateway", "add", "gw", "--org", "hospital"), 73, "gateway 'gw' already exists"),
        (("agent", "add", "AGENT@hospital.org", "--org", "hospital"), 73, "agent@hospital.org"),
        (("gateway", "add", "GW 2", "--org", "hospital"), 78, "'GW 2'"),
        (("agent", "add", "desk", "--org", "hospital"), 78, "EMAIL: 'desk' is not an address"),
        (("agent", "disable", "desk", "--org", "hospital", "--yes"), 78, "EMAIL: 'desk'"),
        (("gateway", "disable", "gw-2", "--org", "hospital", "--yes"), 66, "no gateway 'gw-2'"),
        (("agent", "disable", "a@b.org", "--org", "hospital", "--yes"), 66, "no agent 'a@b.org'"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else None,
)
def test_what_is_refused_is_named(
    template: Workplace, arguments: tuple[str, ...], code: int, named: str
) -> None:
    assert named in template.refusal(*arguments, code=code)


@pytest.mark.parametrize(("answer", "state"), [("y\n", "disabled"), ("n\n", "active")], ids=["yes", "no"])
def test_at_a_terminal_it_is_asked_first(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, answer: str, state: str
) -> None:
    person, terminal = os.openpty()
    os.write(person, answer.encode())
    with os.fdopen(terminal, "r", encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        done = workplace.pushpki("gateway", "disable", "gw", "--org", "hospital")
    os.close(person)

    assert "Disable gateway gw of hospital for good?" in done.err
    assert done.code == (0 if state == "disabled" else 1)
    assert workplace.lines("gateway", "list", "--org", "hospital") == [f"gw\t{state}"]


def test_a_gateway_may_have_a_certificate_as_well(workplace: Workplace) -> None:
    file = workplace.folder / "tls.crt"
    digest = load_pem_x509_certificate(file.read_bytes()).fingerprint(SHA256()).hex()
    at_the_hospital = ("gateway", "certificate", "gw", "--org", "hospital")

    given = workplace.document(*at_the_hospital, str(file))
    assert given == {"gateway": "gw", "certificate_sha256": digest}
    (listed,) = workplace.document("gateway", "list", "--org", "hospital")["gateways"]
    assert listed["certificate_sha256"] == digest

    assert workplace.lines(*at_the_hospital, "--remove") == ["Gateway gw has no certificate."]
    (listed,) = workplace.document("gateway", "list", "--org", "hospital")["gateways"]
    assert listed["certificate_sha256"] is None


def test_what_is_no_certificate_is_refused(workplace: Workplace) -> None:
    key, missing = str(workplace.folder / "master.key"), str(workplace.folder / "missing.pem")
    at_the_hospital = ("gateway", "certificate", "gw", "--org", "hospital")

    assert "not a PEM certificate" in workplace.refusal(*at_the_hospital, key, code=78)
    assert "No such file" in workplace.refusal(*at_the_hospital, missing, code=78)
    for arguments in ((), ("--remove", key)):
        assert workplace.pushpki(*at_the_hospital, *arguments).code == 2
