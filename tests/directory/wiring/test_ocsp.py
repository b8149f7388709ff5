import asyncio
from pathlib import Path

import pytest

from ca.pkcs11 import driver
from directory.changes import ChangeFollower
from directory.settings import load_settings
from directory.store.changes import SqlChangeLog
from directory.timekeeping import never_doubted
from directory.wiring.installation import open_installation
from directory.wiring.ocsp import answering_ocsp
from tests.command import pushpki
from tests.faketoken import FakeToken


async def test_a_start_does_not_wait_for_a_key_that_is_made_in_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await asyncio.to_thread(pushpki, "init", "--dir", str(tmp_path / "pushpki"), "--json")
    fake = FakeToken()
    monkeypatch.setattr(driver, "Pkcs11Driver", lambda *_: fake)
    module, pin_file = tmp_path / "module.so", tmp_path / "pin"
    module.touch()
    pin_file.touch(mode=0o600)
    pin_file.write_text("1234", encoding="ascii")
    monkeypatch.setenv("PUSHPKI_PKCS11__MODULE", str(module))
    monkeypatch.setenv("PUSHPKI_PKCS11__LABEL", fake.label)
    monkeypatch.setenv("PUSHPKI_PKCS11__PIN_FILE", str(pin_file))
    monkeypatch.setenv("PUSHPKI_CA__OCSP_RESPONDER_KEY", "token")

    async with open_installation(load_settings(Path(done.document["configuration"])), None) as opened:
        follower = ChangeFollower(SqlChangeLog(opened.database))
        fake.goes_on.clear()
        async with answering_ocsp(opened, follower, never_doubted):
            assert await asyncio.to_thread(fake.reached.wait, 60)
            assert fake.keys == {}
            fake.goes_on.set()
