import pytest

from directory.http.pages.rendering import Voice, voice
from directory.http.pages.steps import File, other_format_for, steps_for
from directory.http.pages.words import LANGUAGES
from directory.platforms import Platform


def a_voice(language: str = "en") -> Voice:
    return voice(language, file_name="f", authority="a", authority_file="c", profile_title="p")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("platform", Platform)
def test_every_step_has_its_picture_in_every_language(language: str, platform: Platform) -> None:
    speaking = a_voice(language)

    for step in steps_for(platform, speaking, "token"):
        assert speaking.say(f"pictures.{step.picture}")


@pytest.mark.parametrize("platform", Platform)
def test_the_key_is_fetched_at_one_step_and_one_button_stands_out(platform: Platform) -> None:
    offers = {
        number: step.offers
        for number, step in enumerate(steps_for(platform, a_voice(), "token"))
        if any(offer.link != f"token/{File.AUTHORITY.value}" for offer in step.offers)
    }

    assert len(offers) == 1
    [fetching] = offers.values()
    assert [offer.is_main for offer in fetching] == [True, *[False] * (len(fetching) - 1)]
    assert all(offer.link.startswith("token/") for offer in fetching)


def test_thunderbird_is_told_of_the_authority_where_it_needs_it() -> None:
    *_, last = steps_for(Platform.THUNDERBIRD, a_voice(), "token")

    assert [(offer.link, offer.is_main) for offer in last.offers] == [("token/authority.crt", False)]


@pytest.mark.parametrize("platform", Platform)
def test_whatever_holds_the_key_is_to_be_had_in_the_other_format(platform: Platform) -> None:
    offered = {offer.link for step in steps_for(platform, a_voice(), "t") for offer in step.offers} - {
        f"t/{File.AUTHORITY.value}"
    }

    others = {offer.link for offer in other_format_for(platform, a_voice(), "t", "modern")}

    assert others == {f"{link}?format=modern" for link in offered}
