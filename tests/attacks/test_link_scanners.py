"""Machines that follow every link of a mail: they prove nothing and stop nothing, whatever they send.

Mail servers, virus scanners, previews and browsers fetch links before anybody reads the mail, or without it.
A proof of theirs would call a key working that nobody has; an opt-out of theirs would take its certificate.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from ca.keys import PrivateKey
from directory.delivery.outbox import DeliveryState
from directory.http.pages.rendering import Sender
from directory.http.pages.routes import pages_router
from directory.http.pages.services import PageServices
from directory.http.services import HttpSettings
from directory.links import LinkPurpose, issue_link
from directory.lookup import Minted
from directory.proof import ProofDesk
from directory.recipient import RecipientDesk
from directory.resending import KeyMailResender
from directory.store import links
from directory.store.proofs import SqlProofStore
from directory.store.recipients import SqlRecipientStore
from directory.store.resends import SqlResendStore
from directory.store.suppressions import SqlSuppressions
from directory.suppression import OptOut
from tests.builders import Authority
from tests.contracts.following import deliver, delivery_state, standing
from tests.contracts.world import ANNA, NOW, SEALER, Store
from tests.directory.builders import a_mint_context
from tests.directory.clocks import StoppedClock
from tests.directory.minting import DAY, ReadyKeys, an_enroller, found_authority

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SCANNERS = (
    "Mozilla/5.0 (compatible; BingPreview/1.0b)",
    "Mozilla/5.0 (Windows NT 10.0) SafeLinks",
    "Googlebot/2.1",
    "",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A recipient whose key mail was accepted, the links of his mails, and the pages they lead to."""

    store: Store
    enrolment_id: str
    tokens: dict[LinkPurpose, str]
    browser: httpx.AsyncClient

    def path(self, purpose: LinkPurpose) -> str:
        name = {LinkPurpose.PROOF: "prove", LinkPurpose.STOP: "stop"}[purpose]
        return f"/install/{name}/{self.tokens[purpose]}"

    async def nothing_happened(self) -> bool:
        return (
            await delivery_state(self.store, self.enrolment_id) == DeliveryState.ACCEPTED
            and await standing(self.store, self.enrolment_id) == (True, None)
            and await self.store.count("suppressions") == 0
        )


@pytest.fixture
async def scene(store: Store, authority: Authority, recipient_key: PrivateKey) -> AsyncIterator[Scene]:
    database, clock = store.database, StoppedClock(NOW)
    await found_authority(store, authority)
    enroller = an_enroller(database, authority, ReadyKeys([recipient_key]), clock=clock)
    minted = await enroller.mint(ANNA, a_mint_context())
    assert isinstance(minted, Minted)
    await deliver(database, NOW)
    issued = {purpose: issue_link(purpose, NOW + 90 * DAY) for purpose in LinkPurpose}
    fresh = [link for _, link in issued.values()]
    await database.write(lambda connection: links.add(connection, minted.enrolment_id, fresh, NOW))
    tokens = {purpose: token for purpose, (token, _) in issued.items()}
    resender = KeyMailResender(store=SqlResendStore(database, node="node-1"), clock=clock, lifetime=5 * DAY)
    pages = PageServices(
        desk=RecipientDesk(
            store=SqlRecipientStore(database, node="node-1"), sealer=SEALER, resender=resender, clock=clock
        ),
        prove=ProofDesk(store=SqlProofStore(database, node="node-1"), clock=clock).prove,
        stop=OptOut(store=SqlSuppressions(database, node="node-1"), clock=clock).stop,
        sender_of=lambda organization: Sender(name=organization.name, contact=organization.contact),
    )
    app = FastAPI()
    app.include_router(pages_router(pages, HttpSettings(), clock))
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
        yield Scene(store=store, enrolment_id=minted.enrolment_id, tokens=tokens, browser=browser)


CONFIRMING = pytest.mark.parametrize("purpose", [LinkPurpose.PROOF, LinkPurpose.STOP])


@CONFIRMING
async def test_to_fetch_a_link_by_whatever_method_does_nothing(scene: Scene, purpose: LinkPurpose) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "PROPFIND"):
        for agent in SCANNERS:
            await scene.browser.request(method, scene.path(purpose), headers={"User-Agent": agent})

    assert await scene.nothing_happened()


@CONFIRMING
async def test_to_prefetch_a_link_does_nothing(scene: Scene, purpose: LinkPurpose) -> None:
    for header in ("Purpose", "Sec-Purpose", "X-Moz"):
        await scene.browser.get(scene.path(purpose), headers={header: "prefetch;prerender"})

    assert await scene.nothing_happened()


POSTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "an empty form": {"content": b"", "headers": FORM},
    "one click (RFC 8058)": {"content": b"List-Unsubscribe=One-Click", "headers": FORM},
    "a field without its value": {"content": b"token=", "headers": FORM},
    "another field": {"content": b"confirm=yes&submit=1", "headers": FORM},
    "a guessed token": {"content": b"token=" + b"a" * 48, "headers": FORM},
    "JSON": {"json": {"token": "TOKEN"}},
    "the token, and a second one": {"content": b"token=TOKEN&token=x", "headers": FORM},
    "the token as plain text": {"content": b"token=TOKEN", "headers": {"Content-Type": "text/plain"}},
    "megabytes": {"content": b"x" * 3_000_000, "headers": FORM},
    "no text": {"content": bytes(range(256)), "headers": FORM},
}


@CONFIRMING
async def test_to_post_without_our_form_does_nothing(scene: Scene, purpose: LinkPurpose) -> None:
    token = scene.tokens[purpose]
    for what, post in POSTS.items():
        sent = dict(post)
        if "content" in sent:
            sent["content"] = sent["content"].replace(b"TOKEN", token.encode())
        if "json" in sent:
            sent["json"] = {"token": token}

        await scene.browser.post(scene.path(purpose), **sent)

        assert await scene.nothing_happened(), what


@CONFIRMING
async def test_the_token_in_the_query_is_no_form(scene: Scene, purpose: LinkPurpose) -> None:
    token = scene.tokens[purpose]

    await scene.browser.get(scene.path(purpose), params={"token": token})
    await scene.browser.post(scene.path(purpose), params={"token": token})

    assert await scene.nothing_happened()


async def test_the_form_of_one_page_is_not_that_of_another(scene: Scene) -> None:
    stop, proof = scene.tokens[LinkPurpose.STOP], scene.tokens[LinkPurpose.PROOF]

    # Whoever has the first mail has its link to stop; it must not pass for the second's.
    for path in (f"/install/prove/{stop}", f"/install/prove/{scene.tokens[LinkPurpose.INSTALL]}"):
        await scene.browser.post(path, data={"token": path.rpartition("/")[2]})
    await scene.browser.post(scene.path(LinkPurpose.PROOF), data={"token": stop})
    await scene.browser.post(f"/install/stop/{proof}", data={"token": proof})

    assert await scene.nothing_happened()


async def test_a_person_who_presses_the_button_is_heard(scene: Scene) -> None:
    token = scene.tokens[LinkPurpose.PROOF]
    await scene.browser.get(scene.path(LinkPurpose.PROOF))

    answer = await scene.browser.post(scene.path(LinkPurpose.PROOF), data={"token": token})

    assert answer.status_code == 200
    assert await delivery_state(scene.store, scene.enrolment_id) == DeliveryState.PROVEN
