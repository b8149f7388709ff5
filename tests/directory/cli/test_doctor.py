"""`pushpki doctor`: what is found is told people and programs, and the exit code tells scripts."""

import json

from tests.directory.cli.test_organizations import add
from tests.directory.cli.workplace import Workplace


def test_mail_that_cannot_leave_ends_with_1(workplace: Workplace) -> None:
    config = workplace.config.read_text()
    try:
        # Nobody answers there, at once.
        workplace.config.write_text(config + '\n[direct]\nresolver = "127.0.0.1:9"\n')
        workplace.document(
            *add("ailing", domain="ailing.com", mail_from="keys@ailing.com", smtp="smtp+clear://127.0.0.1:9")
        )
        done = workplace.pushpki("doctor", "mail", "--org", "ailing", "--json")
    finally:
        workplace.config.write_text(config)

    assert done.code == 1
    document = json.loads(done.out)
    assert document["healthy"] is False
    assert document["findings"][0]["check"] == "smart_host"
    assert document["findings"][0]["verdict"] == "bad"


def test_an_unknown_organization_is_refused(workplace: Workplace) -> None:
    assert "nobody" in workplace.refusal("doctor", "mail", "--org", "nobody", code=66)


def test_a_day_without_sessions_is_a_report_without_policies(workplace: Workplace) -> None:
    report = workplace.document("doctor", "tls-reports", "--day", "2026-11-22")
    assert report["policies"] == []
    assert report["date-range"] == {
        "start-datetime": "2026-11-22T00:00:00Z",
        "end-datetime": "2026-11-22T23:59:59Z",
    }
    assert workplace.lines("doctor", "tls-reports", "--day", "2026-11-22") == [
        "No mail exchanger was spoken to on 2026-11-22."
    ]
    assert "--day" in workplace.refusal("doctor", "tls-reports", "--day", "someday", code=78)
