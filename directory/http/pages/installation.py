"""How does a recipient set his key up? The page of his steps, and the files it offers."""

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from ca.keypackage import KeyPackageFormat
from directory.delivery.mobileconfig import CONTENT_TYPE as PROFILE_TYPE
from directory.errors import ResendRefused
from directory.http.pages.door import Door, Visit
from directory.http.pages.forms import was_pressed
from directory.http.pages.rendering import NOT_FOR_ROBOTS, message, page
from directory.http.pages.services import PageServices
from directory.http.pages.steps import COMMANDS, UNKNOWN_DEVICE, File, other_format_for, steps_for
from directory.links import LinkPurpose
from directory.platforms import Platform, chosen, recognize
from directory.recipient import KEY_FILE_NAME, ProfileWords, Withheld

KEY_PACKAGE_TYPE = "application/x-pkcs12"
AUTHORITY_TYPE = "application/pkix-cert"
"""RFC 2585 section 4.1."""

_NOTICES = {"resend.under_way": "under_way", "resend.budget_spent": "budget"}
"""What is said where the key mail was not sent again; of everything else, that it cannot be now."""
_SAID = frozenset({"sent", "refused", *_NOTICES.values()})

_FILE_NAMES = {
    File.KEY: KEY_FILE_NAME,
    File.PROFILE: "encryption-key.mobileconfig",
    File.AUTHORITY: "authority.crt",
}
_TYPES = {File.KEY: KEY_PACKAGE_TYPE, File.PROFILE: PROFILE_TYPE, File.AUTHORITY: AUTHORITY_TYPE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The way to the steps for a device."""

    link: str
    name: Markup
    is_shown: bool


def add_installation_pages(router: APIRouter, services: PageServices, door: Door) -> None:
    """Add the routes of the installation page."""

    async def show(token: str, request: Request) -> Response:
        return await door.admit(token, LinkPurpose.INSTALL, request, _installation_page)

    async def send_again(token: str, request: Request) -> Response:
        async def room(visit: Visit) -> Response:
            if not await was_pressed(request, token):
                return door.unknown(request)
            return await _sent_again(services, visit)

        return await door.admit(token, LinkPurpose.INSTALL, request, room)

    router.add_api_route("/{token}", show, methods=["GET", "HEAD"])
    router.add_api_route("/{token}/send", send_again, methods=["POST"])
    for file in File:
        _add_file(router, services, door, file)


def _add_file(router: APIRouter, services: PageServices, door: Door, file: File) -> None:
    async def fetch(token: str, request: Request) -> Response:
        async def room(visit: Visit) -> Response:
            content = await _content(services, visit, file)
            return content if isinstance(content, Response) else _answer(file, content)

        return await door.admit(token, LinkPurpose.INSTALL, request, room)

    async def look(token: str, request: Request) -> Response:
        async def room(visit: Visit) -> Response:
            # Nothing is fetched, so nothing is counted or written down.
            is_there = visit.recipient.has_key or file is File.AUTHORITY
            return _answer(file, b"") if is_there else _gone(visit)

        return await door.admit(token, LinkPurpose.INSTALL, request, room)

    router.add_api_route(f"/{{token}}/{file.value}", fetch, methods=["GET"])
    router.add_api_route(f"/{{token}}/{file.value}", look, methods=["HEAD"])


async def _content(services: PageServices, visit: Visit, file: File) -> bytes | Response:
    """Return the file; or the page that says why it is not to be had."""
    if file is File.AUTHORITY:
        return visit.recipient.chain[-1]
    package_format = _chosen_format(visit)
    if file is File.KEY:
        content = await services.desk.key_package(visit.recipient, package_format)
    else:
        content = await services.desk.profile(visit.recipient, package_format, _profile_words(visit))
    match content:
        case Withheld.GONE:
            return _gone(visit)
        case Withheld.USED_UP:
            return message("used_up", "text", speaking=visit.speaking, status=HTTPStatus.TOO_MANY_REQUESTS)
        case bytes():
            return content


def _profile_words(visit: Visit) -> ProfileWords:
    speaking = visit.speaking
    return ProfileWords(
        organization=speaking.sender.name if speaking.sender else "",
        title=speaking.say("profile.title").striptags(),
        description=speaking.say("profile.description").striptags(),
    )


def _chosen_format(visit: Visit) -> KeyPackageFormat:
    asked_for = visit.request.query_params.get("format")
    mailed = visit.recipient.package_format
    return next((known for known in KeyPackageFormat if known.value == asked_for), mailed)


def _answer(file: File, content: bytes) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{_FILE_NAMES[file]}"', **NOT_FOR_ROBOTS}
    return Response(content=content, media_type=_TYPES[file], headers=headers)


async def _sent_again(services: PageServices, visit: Visit) -> Response:
    """Queue the key mail in the other format, and show the page again with what came of it."""
    if not visit.recipient.is_mailed:
        return _gone(visit) if not visit.recipient.has_key else _installation(visit, None)
    try:
        await services.desk.send_in_other_format(visit.recipient)
    except ResendRefused as refused:
        notice = _NOTICES.get(refused.code, "refused")
    else:
        notice = "sent"
    # Relative, so that no name of a host is ever repeated; and a reload sends nothing again.
    query = visit.query(notice=notice)
    return RedirectResponse(f"../{visit.token}?{query}", status_code=HTTPStatus.SEE_OTHER)


def _gone(visit: Visit) -> Response:
    return message("gone", "text", "have_it", "lost", speaking=visit.speaking, status=HTTPStatus.GONE)


async def _installation_page(visit: Visit) -> Response:
    said = visit.request.query_params.get("notice")
    return _installation(visit, said if said in _SAID else None)


def _installation(visit: Visit, notice: str | None) -> Response:
    recipient, speaking, folder = visit.recipient, visit.speaking, visit.token
    if not recipient.has_key:
        return _gone(visit)
    platform = _platform(visit)
    return page(
        "install.html",
        speaking,
        query=visit.query(lang=""),
        notice=notice,
        by_telephone=recipient.organization.correspondence.webhook is None,
        holds_chain=recipient.organization.correspondence.package_chain,
        platform=platform.value,
        devices=[_device(visit, one, platform) for one in Platform],
        steps=steps_for(platform, speaking, folder),
        others=other_format_for(platform, speaking, folder, recipient.other_format.value),
        send=f"{folder}/send?{visit.query()}" if recipient.is_mailed else None,
        token=visit.token,
        ipad=f"?{visit.query(device=Platform.IPHONE.value)}",
        authority_link=f"{folder}/{File.AUTHORITY.value}",
        commands=COMMANDS[platform],
    )


def _platform(visit: Visit) -> Platform:
    """Return the device that was chosen, else the one the page is read on."""
    headers = visit.request.headers
    recognized = recognize(headers.get("user-agent", ""), headers.get("sec-ch-ua-platform", ""))
    return chosen(visit.request.query_params.get("device")) or recognized or UNKNOWN_DEVICE


def _device(visit: Visit, platform: Platform, shown: Platform) -> Device:
    return Device(
        link=f"?{visit.query(device=platform.value)}",
        name=visit.speaking.say(f"devices.{platform.value}"),
        is_shown=platform is shown,
    )
