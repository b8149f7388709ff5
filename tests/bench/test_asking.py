import itertools
import threading

import pytest

from bench.asking import Answered, ask_on_schedule, keep_asking, require_minted_for_the_address
from bench.premises import PremiseBroken
from tests.bench.certificates import a_certificate

PER_SECOND = 1000.0


class Slow:
    """Answers only when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()

    def look_up(self, address: str) -> bytes:
        self.asked.append(address)
        assert self.may_answer.wait(timeout=10)
        return address.encode()

    def close(self) -> None:
        return


class Broken(Slow):
    def look_up(self, address: str) -> bytes:
        raise PremiseBroken(f"a search for {address} succeeds")


def test_questions_are_due_on_schedule_even_while_the_gateway_still_waits() -> None:
    gateway = Slow()
    threading.Timer(0.5, gateway.may_answer.set).start()

    answers = ask_on_schedule([gateway], ["a", "b", "c"], per_second=PER_SECOND)

    gaps = [later.due_at - earlier.due_at for earlier, later in itertools.pairwise(answers)]
    assert gaps == pytest.approx([1 / PER_SECOND] * 2)
    # The first answer came late, and so did, counted from when they were due, all behind it.
    assert all(answer.milliseconds > 100 for answer in answers)


def test_gateways_take_turns() -> None:
    gateways = [Slow(), Slow()]
    for gateway in gateways:
        gateway.may_answer.set()

    ask_on_schedule(gateways, ["a", "b", "c", "d"], per_second=PER_SECOND)

    assert [gateway.asked for gateway in gateways] == [["a", "c"], ["b", "d"]]


def test_every_gateway_asks_again_as_soon_as_it_is_answered() -> None:
    gateway = Slow()
    gateway.may_answer.set()

    with keep_asking([gateway]) as asking:
        asking.go_on_for(0.05)
        answers = asking.stop()

    assert len(answers) > 1
    assert [answer.address for answer in answers] == gateway.asked


def test_a_wrong_answer_ends_the_measurement_at_once() -> None:
    with keep_asking([Broken()]) as asking, pytest.raises(PremiseBroken):
        asking.go_on_for(60)


def an_answer(address: str, certificate: bytes) -> Answered:
    return Answered(address=address, due_at=0, answered_at=1, certificate=certificate)


def test_the_certificate_must_be_for_the_address_asked() -> None:
    certificate = a_certificate("anna@example.com", serial=1)

    require_minted_for_the_address([an_answer("anna@example.com", certificate)])
    with pytest.raises(PremiseBroken, match="for the address asked"):
        require_minted_for_the_address([an_answer("bert@example.com", certificate)])


def test_two_answers_with_one_certificate_were_not_both_minted() -> None:
    answer = an_answer("anna@example.com", a_certificate("anna@example.com", serial=1))

    with pytest.raises(PremiseBroken, match="minted for its question"):
        require_minted_for_the_address([answer, answer])
