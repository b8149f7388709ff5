import httpx
import pytest

from directory.proof import AlreadyProven, LinkRefused
from tests.directory.http.house import ENROLMENT
from tests.directory.http.pages.conftest import Stay
from tests.directory.http.pages.test_installation import text_of


async def test_to_look_at_a_page_confirms_nothing(stay: Stay, browser: httpx.AsyncClient) -> None:
    for path in (f"/install/prove/{stay.proof}", f"/install/stop/{stay.stop}"):
        for method in ("GET", "HEAD", "GET"):
            response = await browser.request(method, path)
            assert response.status_code == 200

    assert (stay.house.confirmations.proven, stay.house.confirmations.stopped) == ([], [])


async def test_the_button_proves_and_the_page_says_thank_you(stay: Stay, browser: httpx.AsyncClient) -> None:
    page = await browser.post(f"/install/prove/{stay.proof}", data={"token": stay.proof})

    assert page.status_code == 200
    assert "Thank you, everything is set up" in text_of(page)
    assert [one.link_id for one in stay.house.confirmations.proven] == [stay.proof[:16]]


async def test_the_button_stops_all_mail_and_the_page_says_so(stay: Stay, browser: httpx.AsyncClient) -> None:
    page = await browser.post(f"/install/stop/{stay.stop}", data={"token": stay.stop})

    assert page.status_code == 200
    assert "No mail about keys is sent to alice@example.com any more." in text_of(page)
    assert [one.link_id for one in stay.house.confirmations.stopped] == [stay.stop[:16]]


async def test_before_he_stops_it_the_recipient_learns_what_that_means(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    page = text_of(await browser.get(f"/install/stop/{stay.stop}"))

    assert "Without the key, you cannot read it." in page
    assert "neither by City Hospital nor by any other organization" in page
    assert "If you change your mind, tell City Hospital." in page


async def test_the_form_on_the_page_is_what_the_button_sends(stay: Stay, browser: httpx.AsyncClient) -> None:
    page = await browser.get(f"/install/prove/{stay.proof}")

    assert f'<form class="actions" method="post" action="{stay.proof}">' in page.text
    assert f'<input type="hidden" name="token" value="{stay.proof}">' in page.text
    assert page.text.count("<button") == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": ""},
        {"data": {"token": ""}},
        {"data": {"token": "a" * 48}},
        {"data": {"tokens": "TOKEN"}},
        {"data": {"token": ["TOKEN", "TOKEN"]}},
        {"json": {"token": "TOKEN"}},
        {"content": "token=TOKEN", "headers": {"Content-Type": "text/plain"}},
        {"content": "token=TOKEN"},
        {
            "content": "x=1&" * 20 + "token=TOKEN",
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        },
        {"content": b"token=\xff", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"files": {"token": "TOKEN"}},
    ],
)
async def test_a_post_that_is_not_our_forms_confirms_nothing(
    stay: Stay, browser: httpx.AsyncClient, body: dict[str, object]
) -> None:
    for name, token in (("prove", stay.proof), ("stop", stay.stop)):
        response = await browser.post(f"/install/{name}/{token}", **filled(body, token))  # type: ignore[arg-type]  # a table of arguments

        assert response.status_code == 200
        assert "<button" in response.text
    assert (stay.house.confirmations.proven, stay.house.confirmations.stopped) == ([], [])


def filled(value: object, token: str) -> object:
    """Put the token where a table has a place for it."""
    match value:
        case str():
            return value.replace("TOKEN", token)
        case list():
            return [filled(one, token) for one in value]
        case dict():
            return {name: filled(one, token) for name, one in value.items()}
        case _:
            return value


async def test_who_has_proven_it_before_is_thanked_again_without_a_button(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    stay.change(proven=True)
    stay.house.confirmations.proof_answer = AlreadyProven(enrolment_id=ENROLMENT)
    got = await browser.get(f"/install/prove/{stay.proof}")
    posted = await browser.post(f"/install/prove/{stay.proof}", data={"token": stay.proof})

    assert "Thank you" in text_of(got)
    assert "<button" not in got.text
    assert "Thank you" in text_of(posted)


async def test_a_proof_that_is_refused_is_a_link_that_leads_nowhere(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    stay.house.confirmations.proof_answer = LinkRefused()
    refused = await browser.post(f"/install/prove/{stay.proof}", data={"token": stay.proof})
    unknown = await browser.get("/install/prove/nothing")

    assert (refused.status_code, refused.content) == (404, unknown.content)


async def test_a_link_for_one_thing_does_not_do_another(stay: Stay, browser: httpx.AsyncClient) -> None:
    tokens = {"prove": stay.proof, "stop": stay.stop, "": stay.install}
    for name in ("prove", "stop"):
        for other, token in tokens.items():
            if other != name:
                response = await browser.post(f"/install/{name}/{token}", data={"token": token})
                assert response.status_code == 404
    assert (await browser.get(f"/install/{stay.proof}")).status_code == 404
    assert (stay.house.confirmations.proven, stay.house.confirmations.stopped) == ([], [])
