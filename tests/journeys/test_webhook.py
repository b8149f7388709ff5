"""A password reaches an organization's own system: the real service, a real receiver, secrets looked for."""

import json
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.serialization import pkcs12

from tests.gateways import call, look_up, metrics_page
from tests.hook import hook
from tests.postbox import postbox
from tests.service import UNHURRIED, install, serving, succeed

TALKATIVE = {
    **UNHURRIED,
    "PUSHPKI_CA__KEY_POOL_SIZE": "2",
    "PUSHPKI_SERVICE__LOG_LEVEL": "debug",
}
PATIENCE_SECONDS = 30


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_password_reaches_the_webhook_and_is_readable_nowhere_else(tmp_path: Path) -> None:
    address = f"p{uuid.uuid4().hex[:12]}@example.com"
    with postbox() as mail, hook() as server:
        installed = install(tmp_path / "pushpki", smtp=mail.smtp)
        with installed.config.open("a", encoding="utf-8") as config:
            config.write("\n[webhook]\nallow_private = true\n")
        where = ("--config", str(installed.config))
        secret = succeed("org", "webhook", "hospital", "--url", server.url, *where)["secret"]
        # 1. A lookup mints; the key package goes one way, the password the other.
        with serving(installed, variables=TALKATIVE) as running:
            assert len(look_up(running, address)) == 1
            headers, body = server.calls.get(timeout=PATIENCE_SECONDS)
            message = mail.message_to(address)
            metrics = metrics_page(running).encode()
    document = json.loads(body)
    (attachment,) = message.iter_attachments()
    key, _, _ = pkcs12.load_key_and_certificates(attachment.get_content(), document["password"].encode())
    assert key is not None
    assert (document["address"], headers["Pushpki-Delivery"]) == (address, document["delivery_id"])

    # 2. It is on record, and no agent is shown the password any more.
    (delivery,) = succeed("channel", "list", "--org", "hospital", *where)["deliveries"]
    assert (delivery["delivery_id"], delivery["state"]) == (document["delivery_id"], "delivered")
    history = succeed("channel", "show", delivery["delivery_id"], *where)["history"]
    assert [attempt["result"] for attempt in history] == ["status.204"]
    with serving(installed, variables=TALKATIVE) as running:
        enrolment, token = f"/api/v1/enrolments/{document['enrolment_id']}", installed.agent_token
        _, shown = call(running, "GET", enrolment, token=token)
        refused, _ = call(running, "POST", f"{enrolment}/password/reveal", token=token, body={})
    assert (shown["released_through"], refused) == ("webhook", 409)
    assert [(one["channel"], one["state"]) for one in shown["channels"]] == [("webhook", "delivered")]

    # 3. Neither password nor secret can be read in anything that was written.
    written = files_of(installed.folder) | {"metrics": metrics}
    canaries = (document["password"], document["password"].replace("-", ""), secret, secret.split("_")[1])
    assert [name for name, content in written.items() for one in canaries if one.encode() in content] == []
    assert succeed("verify", *where) == {"violations": []}
