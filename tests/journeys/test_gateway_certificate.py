"""A gateway's certificate, from the operator's command to a login, and to the end of it."""

import asyncio
from dataclasses import replace
from pathlib import Path

from directory.ldap.codes import WHO_AM_I, ResultCode
from tests.directory.ldap.network import Client, Tls, a_certificate_for_this_machine
from tests.directory.ldap.wire import ReadResult, bind_with_sasl, extended
from tests.service import SUFFIX, Running, install, serving, succeed

ENDS_WITHIN_SECONDS = 5


def test_a_certificate_logs_in_until_it_is_taken_away(tmp_path: Path) -> None:
    mine = a_certificate_for_this_machine(tmp_path)
    installed = install(tmp_path / "pushpki", smtp="smtp://127.0.0.1:9")
    gateway = ("gateway", "certificate", "gw", "--org", "hospital", "--config", str(installed.config))
    succeed(*gateway[:3], str(mine.certificate), *gateway[3:])
    variables = {"PUSHPKI_LDAP__CLIENT_CA_FILE": str(mine.certificate)}
    tls = Tls(certificate=installed.folder / "tls.crt")

    with serving(installed, variables=variables) as running:
        notice = asyncio.run(
            _log_in_and_be_thrown_out(running, replace(tls, shown=mine.certificate), gateway)
        )

    assert isinstance(notice, ReadResult)
    assert notice.code is ResultCode.STRONGER_AUTH_REQUIRED


async def _log_in_and_be_thrown_out(running: Running, tls: Tls, gateway: tuple[str, ...]) -> object:
    client = await Client.connect(running.ports["ldaps"], tls)
    try:
        await client.send(bind_with_sasl("EXTERNAL"))
        assert (await client.result()).code is ResultCode.SUCCESS
        await client.send(extended(WHO_AM_I))
        assert (await client.result()).value == f"dn:cn=gw,ou=gateways,{SUFFIX}".encode()

        await asyncio.to_thread(succeed, *gateway, "--remove")

        (notice,) = await asyncio.wait_for(client.rest(), timeout=ENDS_WITHIN_SECONDS)
    finally:
        await client.close()
    return notice
