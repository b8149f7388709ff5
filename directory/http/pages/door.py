"""Who may come in with this link, and what is everybody else told? The same, whatever is wrong with it.

A link that is malformed, unknown, wrong, expired or for another purpose is one answer, found in the same
way: each is looked for in the store, and none is told apart.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from directory.clock import Clock
from directory.errors import StoreUnavailable
from directory.http.pages.guesses import GuessLimit
from directory.http.pages.rendering import Voice, file_name, message, voice
from directory.http.pages.services import PageServices
from directory.http.pages.words import preferred_language
from directory.http.peers import Channel, peer_of
from directory.http.services import HttpSettings
from directory.links import LinkPurpose, PresentedLink, issue_link, read_link
from directory.recipient import KEY_FILE_NAME, Recipient

Room = Callable[["Visit"], Awaitable[Response]]
"""What is done for somebody who was let in."""

_CHOICES = ("lang", "device")
"""What a page's query may hold; everything else in it is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody with a link that leads to an enrolment."""

    token: str = field(repr=False)
    """As it stood in the address."""
    presented: PresentedLink
    recipient: Recipient
    request: Request
    speaking: Voice

    def query(self, **changes: str) -> str:
        """Return a query that keeps what was chosen, but for the changes."""
        chosen = {name: self.request.query_params.get(name, "") for name in _CHOICES} | changes
        return urlencode({name: value for name, value in chosen.items() if value})


class Door:
    """Lets in whoever has a link."""

    def __init__(self, services: PageServices, settings: HttpSettings, clock: Clock) -> None:
        self._services = services
        self._settings = settings
        self._clock = clock
        self._guesses = GuessLimit()

    async def admit(self, token: str, purpose: LinkPurpose, request: Request, room: Room) -> Response:
        """Return what the room answers; or, in words for people, why nobody was let in."""
        peer = peer_of(request.scope, self._settings.trusted_proxies)
        if peer.channel is Channel.CLEAR and not peer.is_local:
            # The link is all it takes: it must not be used where others can read it.
            return message("insecure", "text", speaking=self.stranger(request), status=HTTPStatus.FORBIDDEN)
        now = self._clock.now()
        if self._guesses.is_used_up(peer.address, now):
            return message(
                "limited", "text", speaking=self.stranger(request), status=HTTPStatus.TOO_MANY_REQUESTS
            )
        presented = read_link(token)
        try:
            recipient = await self._services.desk.recipient(presented or self._nobodys(purpose), purpose)
            if presented is None or recipient is None:
                self._guesses.count(peer.address, now)
                return self.unknown(request)
            speaking = self._voice(request, recipient)
            return await room(
                Visit(
                    token=token,
                    presented=presented,
                    recipient=recipient,
                    request=request,
                    speaking=speaking,
                )
            )
        except StoreUnavailable:
            return message(
                "unavailable", "text", speaking=self.stranger(request), status=HTTPStatus.SERVICE_UNAVAILABLE
            )

    def unknown(self, request: Request) -> Response:
        """Answer whose link leads nowhere."""
        return message(
            "unknown",
            "text",
            "complete",
            "tell",
            speaking=self.stranger(request),
            status=HTTPStatus.NOT_FOUND,
        )

    def stranger(self, request: Request) -> Voice:
        """Return how one speaks to somebody of whom nothing is known."""
        return voice(_language(request, None))

    def _voice(self, request: Request, recipient: Recipient) -> Voice:
        language = _language(request, recipient.language)
        bare = voice(language)
        return voice(
            language,
            self._services.sender_of(recipient.organization),
            address=str(recipient.mailbox),
            until=bare.words.date(recipient.expires_at),
            file_name=file_name(KEY_FILE_NAME),
            authority_file=file_name("authority.crt"),
            authority=recipient.authority,
            profile_title=bare.say("profile.title"),
        )

    def _nobodys(self, purpose: LinkPurpose) -> PresentedLink:
        """Return a link that nobody has, to look for in the place of one that is none."""
        _, link = issue_link(purpose, self._clock.now())
        return PresentedLink(link_id=link.link_id, secret="")


def _language(request: Request, recipients: str | None) -> str:
    return preferred_language(
        request.query_params.get("lang"), request.headers.get("accept-language", ""), recipients
    )
