"""What decides whether a client works, rule by rule; each was seen in a client's source or on the wire.

The whole requests of those clients are in `test_client_cases.py`.
"""

import inspect

import pytest
from cryptography.hazmat.primitives.serialization import pkcs7

from ca.keys import PrivateKey
from directory.errors import StoreUnavailable
from directory.ldap import responses
from directory.ldap.codes import MANAGE_DSA_IT, START_TLS, ResponseTag, ResultCode, SearchScope
from directory.ldap.settings import AttributeNames, LdapSettings, Presentation, StartTls
from directory.lookup import Found
from tests.builders import Authority
from tests.directory.ldap.authorities import certified, published
from tests.directory.ldap.dialogue import Dialogue, a_dialogue
from tests.directory.ldap.memory import Directory, a_published_certificate, der_of, found
from tests.directory.ldap.wire import (
    CERTIFICATE,
    DIRMNGR_ADDRESS,
    DIRMNGR_TEXT,
    JNDI_ROOT_DSE,
    THUNDERBIRD_BIND,
    THUNDERBIRD_SEARCH,
    ReadEntry,
    ReadResult,
    and_,
    controls,
    equals,
    extended,
    mail,
    not_,
    or_,
    page,
    present,
    search,
    substrings,
    unbind,
)

ALICE = "alice@example.com"
DER = der_of(ALICE)
SUBTREE = SearchScope.SUBTREE
BASE = SearchScope.BASE


def entries(pdu: bytes, client: Dialogue | None = None) -> list[ReadEntry]:
    """Return the entries of a search that succeeds."""
    *shown, done = (client or a_dialogue(Directory())).send(pdu).responses
    assert isinstance(done, ReadResult)
    assert done.code is ResultCode.SUCCESS
    found_entries = [entry for entry in shown if isinstance(entry, ReadEntry)]
    assert len(found_entries) == len(shown)
    return found_entries


def result(pdu: bytes) -> ReadResult:
    last = a_dialogue(Directory()).send(pdu).responses[-1]
    assert isinstance(last, ReadResult)
    return last


def asked_as(*attributes: str) -> list[dict[str, list[bytes]]]:
    return [dict(entry.attributes) for entry in entries(search(attributes=attributes))]


@pytest.mark.parametrize(
    "name", ["userCertificate", "usercertificate;binary", "USERCERTIFICATE;BINARY", "2.5.4.36", "*"]
)
def test_rule_01_a_certificate_is_always_returned_as_binary(name: str) -> None:
    (attributes,) = asked_as(name)

    assert attributes[CERTIFICATE] == [DER]
    assert "userCertificate" not in attributes


def test_rule_01_a_switch_gives_the_plain_name() -> None:
    client = a_dialogue(Directory(), presentation=Presentation(names=AttributeNames.PLAIN))
    (entry,) = entries(search(attributes=("userCertificate;binary",)), client)

    assert dict(entry.attributes) == {"userCertificate": [DER]}


def test_rule_02_both_spellings_at_once_are_answered_once() -> None:
    assert asked_as("userCertificate", "userCertificate;binary") == [{CERTIFICATE: [DER]}]


@pytest.mark.parametrize("name", ["userCertificate;binary", "userCertificate", "USERCERTIFICATE;BINARY"])
def test_rule_03_presence_with_an_option_is_presence(name: str) -> None:
    assert len(entries(search(and_(mail(), present(name))))) == 1


def test_rule_04_the_preferred_certificate_is_the_first_value_of_the_first_entry() -> None:
    directory = Directory()
    directory.publish(found(ALICE, further=(b"second", b"third")))

    first, *_ = entries(search(), a_dialogue(directory))

    assert first.attributes[CERTIFICATE] == [DER]


def test_rule_05_two_entries_per_address_are_enough_for_every_certificate() -> None:
    directory = Directory()
    directory.publish(found(ALICE, further=(b"second", b"third")))

    shown = entries(search(size_limit=2), a_dialogue(directory))

    assert [entry.attributes[CERTIFICATE] for entry in shown] == [[DER], [b"second", b"third"]]


def test_rule_05_more_than_the_size_limit_is_cut_and_said() -> None:
    directory = Directory([ALICE, "bob@example.com"])
    pdu = search(or_(mail(ALICE), mail("bob@example.com")), size_limit=1)

    entry, done = a_dialogue(directory).send(pdu).responses

    assert isinstance(entry, ReadEntry)
    assert isinstance(done, ReadResult)
    assert done.code is ResultCode.SIZE_LIMIT_EXCEEDED


def test_rule_06_the_first_message_may_be_a_search() -> None:
    (entry,) = entries(DIRMNGR_ADDRESS)

    assert entry.attributes[CERTIFICATE] == [DER]


def test_rule_06_an_anonymous_bind_succeeds_with_empty_texts() -> None:
    bound = result(THUNDERBIRD_BIND)

    assert (bound.code, bound.matched_name, bound.diagnostic) == (ResultCode.SUCCESS, "", "")


@pytest.mark.parametrize("scope", [SearchScope.SUBTREE, SearchScope.ONE])
def test_rule_07_below_the_empty_base_is_the_whole_tree(scope: SearchScope) -> None:
    assert len(entries(search(base="", scope=scope))) == 1


def test_rule_07_the_empty_base_itself_is_the_root_dse() -> None:
    (root,) = entries(search(present("objectClass"), base="", scope=BASE, attributes=("+",)))

    assert root.name == ""
    assert "namingContexts" in root.attributes


def test_rule_08_no_response_is_a_reference_nor_intermediate() -> None:
    # Thunderbird knows the tags of bind, entry, done and extended responses; others break it.
    reference, intermediate = 0x73, 0x79

    assert {reference, intermediate} & set(ResponseTag) == set()
    assert "referral" not in inspect.signature(responses.Result).parameters


def test_rule_08_every_failure_of_ours_is_a_result() -> None:
    for failure in (StoreUnavailable(reason="away"), TimeoutError(), ZeroDivisionError()):
        client = a_dialogue()
        client.send(search())
        seen = client.answer(client.operations[0], failure)
        assert not seen.closed
        assert seen.result.kind is ResponseTag.SEARCH_DONE
        assert seen.result.code in {ResultCode.UNAVAILABLE, ResultCode.BUSY, ResultCode.OTHER}


def test_rule_09_an_answer_comes_before_clients_give_up() -> None:
    client = a_dialogue()
    client.send(
        search(message_id=1) + search(time_limit=1, message_id=2) + search(time_limit=60, message_id=3)
    )
    own, short, long = client.operations

    assert own.seconds == long.seconds == LdapSettings().answer_within < 5
    assert short.seconds == 1
    assert client.carry_out(client.session.late(short)).result.code is ResultCode.TIME_LIMIT_EXCEEDED
    assert client.carry_out(client.session.late(own)).result.code is ResultCode.BUSY


@pytest.mark.parametrize(
    "condition",
    [
        substrings("mail", "new@example.com"),
        substrings("mail", initial="new@example.com"),
        or_(*(substrings(name, "new@example.com") for name in ("cn", "mail", "givenName", "sn"))),
    ],
)
def test_rule_10_typing_mints_nobody(condition: bytes) -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.log_in()

    assert entries(search(condition, attributes=()), client) == []
    assert directory.mints == []


@pytest.mark.parametrize("asked", ["mail", "rfc822Mailbox", "0.9.2342.19200300.100.1.3"])
def test_rule_10_an_equality_with_one_complete_address_mints(asked: str) -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.log_in()

    assert len(entries(search(equals(asked, "new@example.com")), client)) == 1
    assert directory.mints == ["new@example.com"]


@pytest.mark.parametrize(
    "condition",
    [
        substrings("mail", ALICE),
        substrings("mail", initial=ALICE),
        substrings("mail", final=ALICE),
        or_(substrings("displayName", ALICE), substrings("mail", ALICE), substrings("givenName", ALICE)),
    ],
)
def test_rule_11_a_complete_address_in_a_substring_finds_the_known(condition: bytes) -> None:
    assert len(entries(search(condition))) == 1


@pytest.mark.parametrize(
    "condition", [substrings("mail", "alice"), substrings("mail", final="@example.com"), present("mail")]
)
def test_rule_11_a_piece_of_an_address_finds_nobody_and_is_no_error(condition: bytes) -> None:
    assert [entry for entry in entries(search(condition)) if CERTIFICATE in entry.attributes] == []


def test_rule_12_an_unknown_attribute_is_undefined() -> None:
    unknown = equals("anr", "x")

    assert entries(search(unknown)) == []
    assert len(entries(search(or_(unknown, mail())))) == 1
    assert entries(search(and_(mail(), not_(unknown)))) == []


def test_rule_12_an_unknown_requested_attribute_is_ignored() -> None:
    assert asked_as("javaClassName", "userCertificate") == [{CERTIFICATE: [DER]}]


def test_rule_13_controls_count_only_where_they_are_critical() -> None:
    vlv, sorting = "2.16.840.1.113730.3.4.9", "1.2.840.113556.1.4.473"
    ignored = controls((MANAGE_DSA_IT, False), (vlv, False), (sorting, False))

    assert len(entries(search(controls=ignored))) == 1
    assert result(search(controls=controls((vlv, True)))).code is ResultCode.UNAVAILABLE_CRITICAL_EXTENSION
    assert len(entries(search(controls=page(100)))) == 1


@pytest.mark.parametrize("dereference", range(4))
def test_rule_14_aliases_may_be_dereferenced_at_will(dereference: int) -> None:
    assert len(entries(search(dereference=dereference))) == 1


def test_rule_15_an_extended_operation_that_is_not_supported_is_answered() -> None:
    client = a_dialogue(Directory(), start_tls=StartTls.UNAVAILABLE)
    for oid in (START_TLS, "1.2.3.4"):
        seen = client.send(extended(oid))
        assert (seen.result.code, seen.result.response_name) == (ResultCode.PROTOCOL_ERROR, None)
        assert not seen.closed


@pytest.mark.parametrize("value", ["ALICE@EXAMPLE.com", " alice@example.com ", "Alice@example.com"])
def test_rule_16_addresses_match_without_regard_to_case_and_outer_spaces(value: str) -> None:
    assert len(entries(search(mail(value)))) == 1


@pytest.mark.parametrize(
    "value", ["al\\2aice@example.com", "al(ice@example.com", "al*ce@example.com", "al\\ice@example.com"]
)
def test_rule_17_octets_that_a_client_did_not_escape_are_taken_as_they_are(value: str) -> None:
    assert entries(search(mail(value))) == []


def test_rule_18_an_entry_has_the_one_address_its_certificate_is_for() -> None:
    (attributes,) = asked_as("mail")

    assert attributes == {"mail": [ALICE.encode()]}


def test_rule_19_no_package_stands_where_a_certificate_is_expected(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    der = certified(authority, recipient_key)
    directory = Directory()
    directory.publish(Found(certificate=a_published_certificate(ALICE, der=der)))
    client = a_dialogue(directory, authorities=published(authority))

    (entry,) = entries(search(attributes=("*", "userSMIMECertificate")), client)

    assert entry.attributes[CERTIFICATE] == [der]
    with pytest.raises(ValueError, match="parse"):
        pkcs7.load_der_pkcs7_certificates(entry.attributes[CERTIFICATE][0])


def test_rule_20_an_authority_is_at_its_subject_and_at_what_gnupg_makes_of_it(authority: Authority) -> None:
    subject = authority.issuer.certificate.subject
    client = a_dialogue(Directory(), authorities=published(authority))
    whole = subject.rfc4514_string()
    from_common_name = whole[whole.index("CN=") :]
    for base in (whole, from_common_name, whole.upper(), whole.replace(",", " , ")):
        (entry,) = entries(search(present("objectClass"), base=base, scope=BASE, attributes=()), client)
        assert b"pkiCA" in entry.attributes["objectClass"]
        assert "cACertificate;binary" in entry.attributes


def test_rule_21_a_plus_in_an_address_is_escaped_in_its_name() -> None:
    (entry,) = entries(search(mail("a+b@example.com")), a_dialogue(Directory(["a+b@example.com"])))

    assert entry.name == "mail=a\\+b@example.com,ou=people,o=directory"


def test_rule_22_the_root_dse_has_what_clients_look_for() -> None:
    (root,) = entries(search(present("objectClass"), base="", scope=BASE, attributes=("*", "+")))

    assert root.attributes["namingContexts"] == [b"o=directory"]
    assert root.attributes["supportedLDAPVersion"] == [b"3"]
    assert root.attributes["subschemaSubentry"] == [b"cn=Subschema"]
    wanted = {"objectClass", "supportedExtension", "supportedControl", "supportedFeatures"}
    assert wanted <= set(root.attributes)
    assert b"1.3.6.1.4.1.4203.1.5.1" in root.attributes["supportedFeatures"]


def test_rule_22_java_reads_the_root_dse_in_its_own_way() -> None:
    (root,) = entries(JNDI_ROOT_DSE)

    assert root.attributes["namingContexts"] == [b"o=directory"]


def test_rule_23_the_schema_defines_what_clients_check_names_by() -> None:
    pdu = search(equals("objectClass", "subschema"), base="cn=Subschema", scope=BASE, attributes=("*", "+"))
    (schema,) = entries(pdu)
    classes = b" ".join(schema.attributes["objectClasses"]).decode()
    attributes = b" ".join(schema.attributes["attributeTypes"]).decode()

    for name in (
        "top",
        "person",
        "organizationalPerson",
        "inetOrgPerson",
        "pkiUser",
        "pkiCA",
        "dcObject",
        "domain",
    ):
        assert f"'{name}'" in classes
    for name in (
        "mail",
        "cn",
        "sn",
        "givenName",
        "displayName",
        "uid",
        "o",
        "ou",
        "dc",
        "userCertificate",
        "userSMIMECertificate",
        "cACertificate",
        "certificateRevocationList",
        "objectClass",
    ):
        assert f"'{name}'" in attributes


@pytest.mark.parametrize("attributes", [(), ("*",), ("*", "+")])
def test_rule_24_the_smime_package_is_given_only_to_those_who_name_it(attributes: tuple[str, ...]) -> None:
    (entry,) = entries(search(attributes=attributes))

    assert [name for name in entry.attributes if name.lower().startswith("usersmime")] == []


# What real clients send, cut at every octet, and several in one segment.

RAW = {
    "Thunderbird's bind": THUNDERBIRD_BIND,
    "Thunderbird's search": THUNDERBIRD_SEARCH,
    "dirmngr's address": DIRMNGR_ADDRESS,
    "dirmngr's text": DIRMNGR_TEXT,
    "JNDI's root DSE": JNDI_ROOT_DSE,
}


@pytest.mark.parametrize("raw", RAW.values(), ids=RAW)
def test_a_message_may_be_cut_anywhere(raw: bytes) -> None:
    whole = a_dialogue(Directory()).send(raw)
    for place in range(1, len(raw)):
        client = a_dialogue(Directory())
        assert client.send(raw[:place]).responses == []
        assert client.session.is_amid_message
        assert client.send(raw[place:]) == whole


def renumbered(raw: bytes, number: int) -> bytes:
    place = raw.index(b"\x02\x01") + 2
    return raw[:place] + bytes((number,)) + raw[place + 1 :]


def test_several_messages_may_come_in_one_segment() -> None:
    raws = [renumbered(raw, number) for number, raw in enumerate(RAW.values(), start=1)]
    one_by_one = a_dialogue(Directory())
    apart = [response for raw in raws for response in one_by_one.send(raw).responses]

    together = a_dialogue(Directory()).send(b"".join(raws)).responses

    # A search without a lookup may be answered before one that waits.
    assert sorted(together, key=lambda response: response.message_id) == apart
    assert {response.message_id for response in together} == {1, 2, 3, 4, 5}


def test_dirmngr_says_good_bye_without_waiting() -> None:
    client = a_dialogue(Directory())
    seen = client.send(DIRMNGR_ADDRESS + unbind(message_id=2))

    assert seen.closed
    assert seen.responses == []  # its answer was not there yet, and nobody waits for it any more
