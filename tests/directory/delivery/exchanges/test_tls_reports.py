from datetime import date

from directory.delivery.exchanges.tls_reports import Policy, PolicyKind, TlsCount, report
from directory.delivery.tls_faults import TlsFault

DAY = date(2026, 11, 22)
STS = Policy(
    kind=PolicyKind.STS,
    lines=("version: STSv1", "mode: testing", "mx: *.mail.example.org", "max_age: 86400"),
)


def a_count(
    *, fault: TlsFault | None = None, sessions: int = 1, domain: str = "example.org", day: date = DAY
) -> TlsCount:
    policy = STS if domain == "example.org" else Policy(kind=PolicyKind.NONE)
    return TlsCount(
        day=day, domain=domain, policy=policy, mx_host="mx1.mail.example.org", fault=fault, sessions=sessions
    )


def written(*counts: TlsCount) -> dict[str, object]:
    return dict(
        report(counts, day=DAY, organization_name="Hospital", contact="tls@hospital.org", report_id="r-1")
    )


def test_writes_the_shape_of_the_rfc() -> None:
    document = written(
        a_count(sessions=5326), a_count(fault=TlsFault.EXPIRED, sessions=100), a_count(domain="other.example")
    )
    assert document == {
        "organization-name": "Hospital",
        "date-range": {
            "start-datetime": "2026-11-22T00:00:00Z",
            "end-datetime": "2026-11-22T23:59:59Z",
        },
        "contact-info": "tls@hospital.org",
        "report-id": "r-1",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": list(STS.lines),
                    "policy-domain": "example.org",
                    "mx-host": ["*.mail.example.org"],
                },
                "summary": {
                    "total-successful-session-count": 5326,
                    "total-failure-session-count": 100,
                },
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "receiving-mx-hostname": "mx1.mail.example.org",
                        "failed-session-count": 100,
                    }
                ],
            },
            {
                "policy": {"policy-type": "no-policy-found", "policy-domain": "other.example"},
                "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0},
            },
        ],
    }


def test_tells_of_its_own_day_only() -> None:
    assert written(a_count(day=date(2026, 11, 21)))["policies"] == []
