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
def test_exactly_one_step_is_where_one_fetches(platform: Platform) -> None:
    fetching = [step for step in steps_for(platform, a_voice(), "token") if step.offers]

    assert len(fetching) == 1
    assert all(offer.link.startswith("token/") for offer in fetching[0].offers)


@pytest.mark.parametrize("platform", Platform)
def test_whatever_holds_the_key_is_to_be_had_in_the_other_format(platform: Platform) -> None:
    offered = {offer.link for step in steps_for(platform, a_voice(), "t") for offer in step.offers} - {
        f"t/{File.AUTHORITY.value}"
    }

    others = {offer.link for offer in other_format_for(platform, a_voice(), "t", "modern")}

    assert others == {f"{link}?format=modern" for link in offered}
