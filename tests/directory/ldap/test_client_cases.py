"""What real clients ask, case by case, through a whole session: what they get, and what is made for them.

The searches are those of Thunderbird (L01 to L04), GnuPG (L05 to L07), the Direct Project's agents (L08 to
L10), Outlook (L11), gateways (L12, L19), Evolution (L13), Java (L14) and curl (L21); the rest is what any of
them may try. That the programs themselves agree (L22) is looked at in tests/interop.
"""

import pytest
from cryptography.hazmat.primitives.serialization import pkcs7

from ca.keys import PrivateKey
from directory.authorities import NO_AUTHORITIES, Authorities
from directory.ldap.codes import MANAGE_DSA_IT, START_TLS, ResponseTag, ResultCode, SearchScope
from directory.ldap.settings import AttributeNames, Presentation, SmimeForm, StartTls
from directory.lookup import Found
from directory.policy import Refusal
from tests.builders import Authority
from tests.directory.ldap.authorities import certified, der, published
from tests.directory.ldap.dialogue import Dialogue, a_dialogue
from tests.directory.ldap.memory import Directory, a_published_certificate, absent, der_of, found
from tests.directory.ldap.wire import (
    CERTIFICATE,
    ReadEntry,
    ReadResult,
    and_,
    bind,
    controls,
    equals,
    extended,
    mail,
    or_,
    present,
    search,
    substrings,
)

ALICE = "alice@example.com"
BOB = "bob@example.com"
PEOPLE = "ou=people,o=directory"
DER = der_of(ALICE)
BASE, ONE, SUBTREE = SearchScope
JAVA_NAMES = (
    "objectClass",
    "javaSerializedData",
    "javaClassName",
    "javaFactory",
    "javaCodeBase",
    "javaReferenceAddress",
    "javaClassNames",
    "javaRemoteLocation",
)
NON_CRITICAL_MANAGE_DSA_IT = controls((MANAGE_DSA_IT, False))


STANDARD = Presentation()


def a_gateways_dialogue(
    directory: Directory,
    presentation: Presentation = STANDARD,
    authorities: Authorities = NO_AUTHORITIES,
) -> Dialogue:
    dialogue = a_dialogue(directory, presentation=presentation, authorities=authorities)
    dialogue.log_in()
    return dialogue


def asked(dialogue: Dialogue, pdu: bytes) -> tuple[list[ReadEntry], ReadResult]:
    *entries, done = dialogue.send(pdu).responses
    assert isinstance(done, ReadResult)
    assert done.kind is ResponseTag.SEARCH_DONE
    return [entry for entry in entries if isinstance(entry, ReadEntry)], done


def certificates(dialogue: Dialogue, pdu: bytes, name: str = CERTIFICATE) -> list[list[bytes]]:
    """Return the certificates of each entry of a search that succeeds."""
    entries, done = asked(dialogue, pdu)
    assert done.code is ResultCode.SUCCESS
    return [entry.attributes.get(name, []) for entry in entries]


def test_l01_thunderbird_gets_the_preferred_certificate_first_and_the_others_in_a_second_entry() -> None:
    directory = Directory()
    directory.publish(found(ALICE, further=(b"older", b"minted")))
    pdu = search(mail(ALICE), size_limit=2, attributes=("usercertificate;binary",))

    assert certificates(a_gateways_dialogue(directory), pdu) == [[DER], [b"older", b"minted"]]


def test_l01_thunderbird_causes_a_mint_where_nobody_has_one() -> None:
    directory = Directory(known=())
    pdu = search(mail(ALICE), size_limit=2, attributes=("usercertificate;binary",))

    assert certificates(a_gateways_dialogue(directory), pdu) == [[DER]]
    assert directory.mints == [ALICE]


def test_l02_thunderbird_with_two_recipients_gets_both() -> None:
    directory = Directory(known=(ALICE,))
    pdu = search(or_(mail(ALICE), mail(BOB)), size_limit=4, attributes=("usercertificate;binary",))

    assert certificates(a_gateways_dialogue(directory), pdu) == [[DER], [der_of(BOB)]]
    assert directory.mints == [BOB]


def test_l03_thunderbird_with_a_filter_in_its_url_gets_the_certificate() -> None:
    directory = Directory(known=())
    condition = and_(equals("objectclass", "inetOrgPerson"), mail(ALICE))

    assert certificates(a_gateways_dialogue(directory), search(condition, size_limit=2)) == [[DER]]
    assert directory.mints == [ALICE]


def autocomplete(typed: str) -> bytes:
    condition = or_(
        substrings("cn", typed, ""),
        substrings("mail", typed),
        substrings("givenName", typed),
        substrings("sn", typed),
    )
    return search(condition, attributes=(), size_limit=100)


def test_l04_thunderbirds_autocomplete_finds_the_known_by_a_complete_address_and_never_mints() -> None:
    directory = Directory()
    dialogue = a_gateways_dialogue(directory)

    for typed in ("a", "alice", "alice@", "alice@example", "example.com", BOB):
        assert asked(dialogue, autocomplete(typed))[0] == []
    assert certificates(dialogue, autocomplete(ALICE)) == [[DER]]
    assert directory.mints == []


def test_l05_gnupg_finds_an_address_without_a_bind_and_without_a_base() -> None:
    pdu = search(mail(ALICE), base="", attributes=())

    (entry,), done = asked(a_dialogue(Directory()), pdu)

    assert done.code is ResultCode.SUCCESS
    assert entry.attributes[CERTIFICATE] == [DER]
    assert entry.attributes["mail"] == [ALICE.encode()]


@pytest.mark.parametrize("base", ["", "o=directory"])
def test_l06_gnupgs_free_text_finds_the_known_by_a_complete_address_and_never_mints(base: str) -> None:
    directory = Directory()
    dialogue = a_gateways_dialogue(directory)

    def free_text(text: str) -> bytes:
        condition = or_(substrings("sn", text), or_(substrings("cn", text), substrings("mail", text)))
        return search(condition, base=base, attributes=())

    assert certificates(dialogue, free_text(ALICE)) == [[DER]]
    assert certificates(dialogue, free_text(BOB)) == []
    assert certificates(dialogue, free_text("alice")) == []
    assert directory.mints == []


@pytest.mark.parametrize("scope", [BASE, SUBTREE])
@pytest.mark.parametrize(
    "attributes", [(), ("cACertificate",), ("cACertificate;binary",), ("CACERTIFICATE",)]
)
def test_l07_gnupg_finds_an_issuer_at_its_name(
    authority: Authority, scope: SearchScope, attributes: tuple[str, ...]
) -> None:
    pdu = search(
        present("objectclass"),
        base="CN=Example Issuing CA 2026,O=Example",
        scope=scope,
        attributes=attributes,
    )

    issuer = [[der(authority.issuer.certificate)]]
    dialogue = a_dialogue(Directory(), authorities=published(authority))
    assert certificates(dialogue, pdu, "cACertificate;binary") == issuer


@pytest.mark.parametrize(
    ("base", "attribute", "value"),
    [
        ("cn=example issuing ca 2026, o=EXAMPLE", "certificateRevocationList", b"crl"),
        ("CN=Example Root 2026,O=Example", "authorityRevocationList", b"arl"),
        ("CN=Example Root 2026,O=Example", "certificateRevocationList", b"arl"),
    ],
)
def test_l07_the_lists_of_revoked_certificates_are_at_the_names_of_their_issuers(
    authority: Authority, base: str, attribute: str, value: bytes
) -> None:
    pdu = search(present("objectClass"), base=base, scope=BASE, attributes=(attribute,))

    dialogue = a_dialogue(Directory(), authorities=published(authority))
    assert certificates(dialogue, pdu, f"{attribute};binary") == [[value]]


def test_l07_authorities_are_found_below_the_empty_base_by_their_class(authority: Authority) -> None:
    dialogue = a_dialogue(Directory(), authorities=published(authority))

    entries, _ = asked(dialogue, search(equals("objectClass", "pkiCA"), base=""))
    assert [entry.name for entry in entries] == [
        "CN=Example Issuing CA 2026,O=Example",
        "CN=Example Root 2026,O=Example",
    ]
    assert asked(dialogue, search(equals("objectClass", "pkiCA"), base="o=directory"))[0] == []


def test_l07_nothing_is_below_an_authority(authority: Authority) -> None:
    pdu = search(present("objectClass"), base="CN=Example Root 2026,O=Example", scope=ONE)

    entries, done = asked(a_dialogue(Directory(), authorities=published(authority)), pdu)
    assert (entries, done.code) == ([], ResultCode.SUCCESS)


def test_l08_directs_java_agent_finds_the_naming_context_and_gets_each_value_once() -> None:
    dialogue = a_gateways_dialogue(Directory(known=()))
    root = search(
        present("objectclass"),
        base="",
        scope=BASE,
        dereference=3,
        attributes=("namingContexts", *JAVA_NAMES),
        controls=NON_CRITICAL_MANAGE_DSA_IT,
    )
    pdu = search(
        mail(ALICE),
        dereference=3,
        attributes=("userCertificate", CERTIFICATE, *JAVA_NAMES),
        controls=NON_CRITICAL_MANAGE_DSA_IT,
    )

    (root_dse,), _ = asked(dialogue, root)
    (entry,), _ = asked(dialogue, pdu)

    assert root_dse.attributes == {"objectClass": [b"top"], "namingContexts": [b"o=directory"]}
    assert entry.attributes[CERTIFICATE] == [DER]
    assert entry.attributes.keys() == {"objectClass", CERTIFICATE}


def bound_to_a_domain(domain: str) -> bytes:
    return search(
        and_(mail(domain), or_(present(CERTIFICATE), present("userCertificate"))),
        dereference=3,
        attributes=("userCertificate", CERTIFICATE),
        controls=NON_CRITICAL_MANAGE_DSA_IT,
    )


def test_l09_directs_java_agent_finds_what_is_bound_to_a_domain() -> None:
    directory = Directory()
    directory.publish(Found(certificate=a_published_certificate("example.com")))

    (entry,), _ = asked(a_gateways_dialogue(directory), bound_to_a_domain("Example.com"))

    assert entry == ReadEntry(
        message_id=1, name=f"mail=example.com,{PEOPLE}", attributes={CERTIFICATE: [der_of("example.com")]}
    )


def test_l09_a_domain_may_be_answered_for_by_its_confidentiality_authority() -> None:
    authority = "domain-confidentiality-authority@example.com"
    directory = Directory(known=(authority,))

    dialogue = a_gateways_dialogue(directory)
    assert certificates(dialogue, bound_to_a_domain("example.com")) == [[der_of(authority)]]
    assert certificates(dialogue, bound_to_a_domain("sub.example.com")) == []


def test_l09_a_domain_is_never_made_a_certificate() -> None:
    directory = Directory(known=())
    dialogue = a_gateways_dialogue(directory)

    assert certificates(dialogue, search(mail("example.com"))) == []
    assert certificates(dialogue, bound_to_a_domain("example.com")) == []
    assert directory.mints == []


PACKAGES = ("userSMIMECertificate", "userSMIMECertificate;binary")


def test_l10_directs_net_agent_gets_the_certificate_itself_where_that_is_configured() -> None:
    directory = Directory(known=())
    dialogue = a_gateways_dialogue(directory, Presentation(smime=SmimeForm.DER))

    assert certificates(dialogue, search(mail(ALICE), attributes=PACKAGES), PACKAGES[0]) == [[DER]]
    assert directory.mints == [ALICE]


@pytest.mark.parametrize("attributes", [PACKAGES[:1], PACKAGES[1:], PACKAGES, PACKAGES[::-1]])
def test_l10_others_get_a_package_with_the_chain_in_the_form_they_ask_for(
    authority: Authority, recipient_key: PrivateKey, attributes: tuple[str, ...]
) -> None:
    certificate = certified(authority, recipient_key)
    directory = Directory()
    directory.publish(Found(certificate=a_published_certificate(ALICE, der=certificate)))
    dialogue = a_gateways_dialogue(directory, authorities=published(authority))

    (entry,), _ = asked(dialogue, search(mail(ALICE), attributes=attributes))

    assert entry.attributes.keys() == {attributes[0]}
    (package,) = entry.attributes[attributes[0]]
    assert set(map(der, pkcs7.load_der_pkcs7_certificates(package))) == {
        certificate,
        *map(der, authority.chain),
    }


def test_l10_where_the_package_is_off_asking_for_it_makes_nothing() -> None:
    directory = Directory(known=())
    dialogue = a_gateways_dialogue(directory, Presentation(smime=SmimeForm.OFF))

    assert certificates(dialogue, search(mail(ALICE), attributes=PACKAGES)) == []
    assert directory.mints == []


def outlook(typed: str) -> bytes:
    names = or_(
        substrings("mail", initial=typed),
        or_(
            substrings("cn", initial=typed),
            or_(substrings("sn", initial=typed), substrings("givenName", initial=typed)),
        ),
    )
    return search(and_(present("mail"), names), attributes=(), size_limit=100, time_limit=60)


def test_l11_outlook_finds_the_known_by_a_complete_address_and_never_mints() -> None:
    directory = Directory()
    dialogue = a_gateways_dialogue(directory)

    assert certificates(dialogue, outlook(ALICE)) == [[DER]]
    for typed in ("al", "alice@example.co", BOB):
        assert asked(dialogue, outlook(typed))[0] == []
    assert directory.mints == []


@pytest.mark.parametrize(
    "condition",
    [
        substrings("mail", initial=ALICE),
        substrings("mail", ALICE),
        substrings("cn", ALICE),
        equals("cn", ALICE),
    ],
)
def test_l11_evolution_finds_the_known_in_every_form_it_asks_in(condition: bytes) -> None:
    directory = Directory()

    assert certificates(a_gateways_dialogue(directory), search(condition, attributes=())) == [[DER]]
    assert directory.mints == []


def test_l12_a_gateway_gets_a_certificate_for_whomever_it_names() -> None:
    directory = Directory(known=())
    dialogue = a_gateways_dialogue(directory)

    for address in (ALICE, BOB):
        assert certificates(dialogue, search(mail(address))) == [[der_of(address)]]
    assert directory.mints == [ALICE, BOB]


def test_l13_evolution_learns_what_the_server_can_and_where_the_schema_is() -> None:
    asked_for = (
        "supportedControl",
        "supportedExtension",
        "supportedFeatures",
        "supportedLDAPVersion",
        "subschemaSubentry",
        "schemaNamingContext",
    )
    dialogue = a_dialogue(Directory())

    pdu = search(present("objectclass"), base="", scope=BASE, attributes=asked_for)
    (root,), _ = asked(dialogue, pdu)
    assert root.attributes.keys() == set(asked_for) - {"schemaNamingContext"}

    pdu = search(
        equals("objectClass", "subschema"),
        base=root.attributes["subschemaSubentry"][0],
        scope=BASE,
        attributes=("objectClasses",),
    )
    (schema,), _ = asked(dialogue, pdu)
    classes = b" ".join(schema.attributes["objectClasses"])
    for name in (b"inetOrgPerson", b"pkiUser", b"pkiCA", b"organizationalUnit", b"domain"):
        assert b"'" + name + b"'" in classes


def test_l13_evolutions_offline_copy_is_empty() -> None:
    assert asked(a_gateways_dialogue(Directory()), search(present("cn"), attributes=()))[0] == []


JDK_NAMES = (
    "crossCertificatePair;binary",
    "cACertificate;binary",
    "authorityRevocationList;binary",
    CERTIFICATE,
)


@pytest.mark.parametrize(
    "base",
    [
        "CN=alice@example.com",
        "cn = Alice@EXAMPLE.com",
        "CN=alice@example.com,emailAddress=alice@example.com",
        "CN=alice@example.com,1.2.840.113549.1.9.1=#1611616c696365406578616d706c652e636f6d",
    ],
)
def test_l14_java_finds_the_known_at_the_subject_of_the_certificate(base: str) -> None:
    directory = Directory()
    pdu = search(present("objectClass"), base=base, scope=BASE, dereference=3, attributes=JDK_NAMES)

    (entry,), done = asked(a_gateways_dialogue(directory), pdu)

    assert done.code is ResultCode.SUCCESS
    assert entry.attributes == {CERTIFICATE: [DER]}


def test_l14_what_is_not_known_is_not_there_and_not_made() -> None:
    directory = Directory()
    pdu = search(present("objectClass"), base=f"CN={BOB}", scope=BASE, dereference=3, attributes=JDK_NAMES)

    entries, done = asked(a_gateways_dialogue(directory), pdu)

    assert (entries, done.code) == ([], ResultCode.NO_SUCH_OBJECT)
    assert directory.mints == []


def test_l14_java_finds_issuers_at_their_names(authority: Authority) -> None:
    pdu = search(
        present("objectClass"), base="CN=Example Root 2026,O=Example", scope=BASE, attributes=JDK_NAMES
    )

    (entry,), _ = asked(a_dialogue(Directory(), authorities=published(authority)), pdu)

    assert entry.attributes == {
        "cACertificate;binary": [der(authority.root.certificate)],
        "authorityRevocationList;binary": [b"arl"],
    }


def test_l15_who_may_not_mint_gets_an_empty_success() -> None:
    directory = Directory(known=())
    anonymous = a_dialogue(directory)
    assert anonymous.send(bind()).result.code is ResultCode.SUCCESS

    assert certificates(anonymous, search(mail(ALICE))) == []
    assert directory.mints == []


def test_l15_what_policy_refuses_is_an_empty_success() -> None:
    dialogue = a_dialogue()
    dialogue.send(search(mail(ALICE)))

    seen = dialogue.answer(dialogue.operations[0], absent(Refusal.RESERVED_LOCAL_PART))
    assert seen.result.code is ResultCode.SUCCESS


def test_l16_what_is_not_there_or_not_known_has_its_own_result() -> None:
    dialogue = a_dialogue(Directory(), start_tls=StartTls.UNAVAILABLE)

    unknown_control = search(mail(ALICE), controls=controls(("1.2.3.4", True)))
    assert asked(dialogue, unknown_control)[1].code is ResultCode.UNAVAILABLE_CRITICAL_EXTENSION
    assert asked(dialogue, search(mail(ALICE), base="dc=nope"))[1].code is ResultCode.NO_SUCH_OBJECT
    start_tls = dialogue.send(extended(START_TLS)).result
    assert (start_tls.code, start_tls.response_name) == (ResultCode.PROTOCOL_ERROR, None)


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        (("1.1",), set()),
        (("+",), {"subschemaSubentry"}),
        (("*",), {"objectClass", "cn", "sn", "mail", CERTIFICATE}),
        (("*", "+"), {"objectClass", "cn", "sn", "mail", CERTIFICATE, "subschemaSubentry"}),
        ((), {"objectClass", "cn", "sn", "mail", CERTIFICATE}),
        (("userCertificate",), {CERTIFICATE}),
        (("USERCERTIFICATE",), {CERTIFICATE}),
        (("2.5.4.36",), {CERTIFICATE}),
        (("userSMIMECertificate;lang-de", "noSuchAttribute"), set()),
    ],
)
def test_l17_selectors_select_and_the_certificate_has_one_name(
    attributes: tuple[str, ...], names: set[str]
) -> None:
    pdu = search(equals("MAIL", "ALICE@EXAMPLE.COM"), attributes=attributes)

    (entry,), _ = asked(a_gateways_dialogue(Directory()), pdu)
    assert entry.attributes.keys() == names


@pytest.mark.parametrize("attributes", [(), ("userCertificate",), ("userCertificate;binary",)])
def test_l17_the_certificate_has_the_plain_name_where_that_is_configured(attributes: tuple[str, ...]) -> None:
    dialogue = a_gateways_dialogue(Directory(), Presentation(names=AttributeNames.PLAIN))

    (entry,), _ = asked(dialogue, search(mail(ALICE), attributes=attributes))
    assert entry.attributes["userCertificate"] == [DER]
    assert CERTIFICATE not in entry.attributes


def test_l18_types_only_shows_names_without_values_and_mints_nothing() -> None:
    directory = Directory()
    dialogue = a_gateways_dialogue(directory)

    (entry,), _ = asked(dialogue, search(mail(ALICE), types_only=True))
    assert entry.attributes == {CERTIFICATE: []}
    assert asked(dialogue, search(mail(BOB), types_only=True))[0] == []
    assert directory.mints == []


def test_l19_a_domains_confidentiality_authority_is_found_like_anybody() -> None:
    authority = "domain-confidentiality-authority@example.com"
    directory = Directory(known=(authority,))

    assert certificates(a_gateways_dialogue(directory), search(mail(authority))) == [[der_of(authority)]]
    assert directory.mints == []


@pytest.mark.parametrize("base", ["", "o=directory", PEOPLE])
@pytest.mark.parametrize(
    "condition",
    [present("mail"), substrings("mail", "example.com"), substrings("mail", ""), present("userCertificate")],
)
def test_l20_nobody_harvests_the_directory(base: str, condition: bytes, authority: Authority) -> None:
    dialogue = a_gateways_dialogue(Directory(), authorities=published(authority))

    assert certificates(dialogue, search(condition, base=base)) == []


def test_l21_curl_gets_the_certificate_after_an_anonymous_bind() -> None:
    dialogue = a_dialogue(Directory())

    result = dialogue.send(bind()).result
    assert (result.code, result.matched_name, result.diagnostic) == (ResultCode.SUCCESS, "", "")
    assert certificates(dialogue, search(mail(ALICE))) == [[DER]]
