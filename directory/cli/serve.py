"""`pushpki serve`: LDAP, HTTP and delivery in one process, until told to stop."""

from directory.cli.opening import Config, passphrase_of, read_settings
from directory.cli.output import Json, show


def serve(*, config: Config = None, as_json: Json = False) -> None:
    """Serve lookups and deliver key mails until SIGTERM or SIGINT."""
    from directory.wiring import process  # noqa: PLC0415 - a second of imports that no other command needs

    settings = read_settings(config)
    process.configure_logging(settings)

    def announce(document: dict[str, str]) -> None:
        line = f"Listening: {', '.join(f'{name} on {address}' for name, address in document.items())}"
        show({"listening": document}, as_json=as_json, lines=[line])

    process.run_until_stopped(process.serve_until_signalled(settings, passphrase_of(settings), announce))
