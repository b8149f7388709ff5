"""How people are counted who have several accounts; what the store does with it is in its contract."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from directory.callers import RecoveryAgent
from directory.recovery_requests import count_people
from tests.directory.builders import a_recovery_agent


@st.composite
def accounts(draw: st.DrawFn) -> list[RecoveryAgent]:
    marks = st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.sampled_from([b"1", b"2", b"3"])))
    return [
        a_recovery_agent(f"agent-{number}", email=f"{person}@keepers.org", certificate_sha256=certificate)
        for number, (person, certificate) in enumerate(draw(st.lists(marks, max_size=8)))
    ]


@given(accounts())
def test_no_more_people_than_addresses_nor_than_certificates_allow(agents: list[RecoveryAgent]) -> None:
    counted = count_people(agents)

    assert counted <= len({agent.person for agent in agents})
    without = {agent.person for agent in agents if agent.certificate_sha256 is None}
    certificates = {agent.certificate_sha256 for agent in agents if agent.certificate_sha256 is not None}
    assert counted <= len(without) + len(certificates)
    assert (counted > 0) is bool(agents)


@given(accounts(), st.randoms())
def test_the_order_in_which_they_come_does_not_matter(agents: list[RecoveryAgent], random: Random) -> None:
    shuffled = sorted(agents, key=lambda _: random.random())
    assert count_people(shuffled) == count_people(agents)


@given(accounts())
def test_another_account_of_one_of_them_adds_nobody(agents: list[RecoveryAgent]) -> None:
    again = [
        a_recovery_agent(f"again-{number}", email=agent.email, certificate_sha256=None)
        for number, agent in enumerate(agents)
    ]
    assert count_people([*agents, *again]) == count_people(agents)
