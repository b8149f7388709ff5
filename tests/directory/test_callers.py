from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from directory.callers import (
    AgentCredential,
    Authentication,
    Credential,
    Gateway,
    GatewayCredential,
    HeldCertificate,
    HeldToken,
    RecoveryAgentCredential,
)
from directory.tokens import IssuedToken, TokenKind, issue_token
from tests.directory.builders import a_gateway, a_recovery_agent, an_agent


@dataclass
class Register:
    """Callers by token identifier, in memory."""

    gateways: dict[str, GatewayCredential] = field(default_factory=dict)
    agents: dict[str, AgentCredential] = field(default_factory=dict)
    recovery_agents: dict[str, RecoveryAgentCredential] = field(default_factory=dict)

    async def gateway_by_token(self, token_id: str) -> GatewayCredential | None:
        return self.gateways.get(token_id)

    async def gateways_by_credential(self, credentials: Collection[Credential]) -> dict[Credential, Gateway]:
        good: dict[Credential, Gateway] = {
            HeldToken(token_id=token_id): held.gateway for token_id, held in self.gateways.items()
        }
        good[HeldCertificate(sha256=FINGERPRINT)] = a_gateway(name="gw")
        return {credential: gateway for credential, gateway in good.items() if credential in credentials}

    async def recovery_agent_by_token(self, token_id: str) -> RecoveryAgentCredential | None:
        return self.recovery_agents.get(token_id)

    async def agent_by_token(self, token_id: str) -> AgentCredential | None:
        return self.agents.get(token_id)


FINGERPRINT = bytes(range(32))
GATEWAY_TOKEN = issue_token(TokenKind.GATEWAY)
AGENT_TOKEN = issue_token(TokenKind.AGENT)


def an_authentication() -> Authentication:
    return Authentication(
        Register(
            gateways={
                GATEWAY_TOKEN.token_id: GatewayCredential(
                    gateway=a_gateway(name="gw"), token_digest=GATEWAY_TOKEN.digest
                )
            },
            agents={AGENT_TOKEN.token_id: AgentCredential(agent=an_agent(), token_digest=AGENT_TOKEN.digest)},
        )
    )


async def test_a_genuine_token_names_its_holder() -> None:
    assert await an_authentication().gateway(GATEWAY_TOKEN.text) == a_gateway(name="gw")
    assert await an_authentication().agent(AGENT_TOKEN.text) == an_agent()


async def test_a_recovery_agents_token_names_him_and_is_nobody_elses() -> None:
    token = issue_token(TokenKind.RECOVERY_AGENT)
    credential = RecoveryAgentCredential(agent=a_recovery_agent(), token_digest=token.digest)
    authentication = Authentication(Register(recovery_agents={token.token_id: credential}))

    assert await authentication.recovery_agent(token.text) == a_recovery_agent()
    assert await authentication.recovery_agent(with_other_secret(token)) is None
    assert await authentication.recovery_agent(AGENT_TOKEN.text) is None
    assert await authentication.agent(token.text) is None
    assert await authentication.gateway(token.text) is None


async def test_a_gateways_token_is_no_agents_token_nor_the_other_way_round() -> None:
    assert await an_authentication().agent(GATEWAY_TOKEN.text) is None
    assert await an_authentication().gateway(AGENT_TOKEN.text) is None


def with_other_secret(token: IssuedToken) -> str:
    kind, token_id, _ = token.text.split("_")
    return f"{kind}_{token_id}_{'0' * 40}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        issue_token(TokenKind.GATEWAY).text,
        with_other_secret(GATEWAY_TOKEN),
        GATEWAY_TOKEN.text + "0",
    ],
    ids=["nothing", "nonsense", "of nobody", "another secret", "one character more"],
)
async def test_any_other_text_is_nobodys(text: str) -> None:
    assert await an_authentication().gateway(text) is None


async def test_an_all_zero_digest_is_nobodys_token() -> None:
    # The comparison with an unknown token runs against a fixed digest; no secret may match it.
    unknown = issue_token(TokenKind.GATEWAY)

    assert await Authentication(Register()).gateway(unknown.text) is None


@pytest.mark.parametrize(("name", "known"), [("gw", True), ("GW", True), ("other", False), ("", False)])
async def test_an_ldap_bind_must_name_the_tokens_own_gateway(name: str, known: bool) -> None:  # noqa: FBT001 - a table's column
    gateway = await an_authentication().named_gateway(name, GATEWAY_TOKEN.text)

    assert (gateway is not None) is known


async def test_a_certificate_names_the_gateway_that_has_it() -> None:
    assert await an_authentication().certified_gateway(FINGERPRINT) == a_gateway(name="gw")
    assert await an_authentication().certified_gateway(bytes(32)) is None


async def test_only_good_credentials_are_still_good() -> None:
    held = HeldToken(token_id=GATEWAY_TOKEN.token_id)
    taken_away = HeldToken(token_id="another")

    assert await an_authentication().still_good((held, taken_away)) == {held: a_gateway(name="gw")}
