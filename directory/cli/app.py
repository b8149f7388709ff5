"""Which commands are there? The tree of `pushpki`; each branch lives in a module of its name."""

from typing import Annotated

import typer

from directory import __version__
from directory.cli import (
    audit,
    authority,
    bounce,
    callers,
    certificates,
    channel,
    clock,
    cps,
    demo,
    dkim,
    doctor,
    init,
    key_pool,
    keys,
    lookup,
    mail,
    master_key,
    organization_changes,
    organizations,
    package_formats,
    password_mail,
    reconcile,
    recovery,
    renew,
    resend,
    revoke,
    serve,
    store,
    suppressions,
    templates,
    token,
    webhook,
)

app = typer.Typer(
    name="pushpki",
    help="A certificate directory that never says no.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the signature typer calls
    if wanted:
        typer.echo(f"pushpki {__version__}")
        raise typer.Exit


@app.callback()
def _pushpki(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version


app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("lookup")(lookup.lookup)
app.command("renew")(renew.renew)
app.command("resend")(resend.resend)
app.command("revoke")(revoke.revoke)
app.command("verify")(store.verify)
app.command("migrate")(store.migrate)
app.command("cps")(cps.cps)
app.command("demo")(demo.demo)
organizations.app.command("set")(organization_changes.change)
organizations.app.command("webhook")(webhook.webhook)
organizations.app.command("password-mail")(password_mail.password_mail)
organizations.app.command("format")(package_formats.package_format)
organizations.app.command("dkim")(dkim.dkim)
app.add_typer(organizations.app, name="org", help="Sending organizations.")
app.add_typer(callers.gateways, name="gateway", help="Gateways: machines that look addresses up.")
app.add_typer(certificates.app, name="certificate", help="Certificates that recipients have from elsewhere.")
app.add_typer(keys.app, name="key", help="Keys that are in wrong hands.")
app.add_typer(callers.agents, name="agent", help="Registration agents: people who pass passwords on.")
app.add_typer(recovery.app, name="recovery", help="Escrowed keys: how they are got back.")
app.add_typer(doctor.app, name="doctor", help="What keeps mail from arriving.")
app.add_typer(bounce.app, name="bounce", help="Mails that came back.")
app.add_typer(suppressions.app, name="suppression", help="Addresses that get no mail from anybody.")
mail.app.command("preview")(templates.preview)
mail.app.command("test-send")(templates.send_test)
mail.app.add_typer(templates.app, name="templates", help="The words of the mails.")
app.add_typer(mail.app, name="mail", help="The outbox: what waits, what failed, holding it up.")
app.add_typer(channel.app, name="channel", help="What organizations' webhooks were told.")
audit.app.command("reconcile")(reconcile.reconcile)
app.add_typer(audit.app, name="audit", help="The audit log: its key, its export, its check.")
app.add_typer(clock.app, name="clock", help="The time that the service goes by.")
authority.app.add_typer(key_pool.app, name="pool", help="The keys that are made in advance.")
authority.app.add_typer(token.app, name="token", help="The token that holds keys of CAs.")
app.add_typer(authority.app, name="ca", help="The certification authority itself.")
app.add_typer(master_key.app, name="master-key", help="The key that all secrets at rest are sealed under.")
