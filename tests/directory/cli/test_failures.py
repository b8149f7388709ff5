"""Every error of ours has an exit code and a line."""

from datetime import timedelta
from pathlib import Path

import pytest

import ca.errors
import directory.errors
from ca.errors import CaError, KeyPoolClosed, MasterKeyUnusable
from directory.cli.failures import EXIT_CODES, REMEDIES, exit_code, explanation, report
from directory.errors import (
    AlreadyExists,
    ConfigurationRefused,
    DirectoryError,
    LimitReached,
    SlotTaken,
    StoreUnavailable,
    Unknown,
)

OURS = [
    kind
    for module in (ca.errors, directory.errors)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, CaError | DirectoryError)
]
USAGE_ERROR = 2


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_that_tells_it_from_success_and_misuse(kind: type[Exception]) -> None:
    code = exit_code(kind.__new__(kind))

    assert 2 < code < 128
    assert code not in {0, 1, USAGE_ERROR}


def test_the_tables_name_errors_of_ours_the_narrow_before_the_wide() -> None:
    kinds = list(EXIT_CODES)

    assert set(kinds) | set(REMEDIES) <= set(OURS)
    for position, kind in enumerate(kinds):
        assert not [wider for wider in kinds[:position] if issubclass(kind, wider)]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            ConfigurationRefused(key="http.listen", reason="is taken", remedy="choose another"),
            78,
            "pushpki: error: http.listen: is taken — choose another\n",
        ),
        (Unknown(kind="gateway", name="gw"), 66, "pushpki: error: no gateway 'gw'\n"),
        (AlreadyExists(kind="domain", name="a.org"), 73, "pushpki: error: domain 'a.org' already exists\n"),
        (
            StoreUnavailable(reason="Connection\nrefused"),
            75,
            "pushpki: error: the database is unavailable: Connection refused — see database.url\n",
        ),
        (
            LimitReached(limit="gateway_day", retry_after=timedelta(hours=1)),
            75,
            "pushpki: error: the limit gateway_day is used up\n",
        ),
        (SlotTaken(), 70, "pushpki: error: SlotTaken\n"),
        (KeyPoolClosed(), 70, "pushpki: error: KeyPoolClosed\n"),
    ],
)
def test_an_error_is_one_line(
    capsys: pytest.CaptureFixture[str], error: DirectoryError | CaError, code: int, line: str
) -> None:
    with pytest.raises(SystemExit) as end:
        report(error)

    assert end.value.code == code
    assert capsys.readouterr() == ("", line)


def test_a_master_key_that_cannot_be_used_comes_with_its_settings() -> None:
    text = explanation(MasterKeyUnusable(path=Path("/x/master.key"), reason="needs a passphrase"))

    assert text.startswith("master key /x/master.key: needs a passphrase — ")
    assert "master_key.passphrase_file" in text
