"""`pushpki channel`: what organizations' webhooks were told, how each call went, and once more."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from directory.channels.jobs import WebhookAttempt
from directory.channels.overview import Redeliveries, WebhookDelivery
from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.store.webhook_overview import SqlWebhookOverview
from directory.wiring.installation import Installation

app = typer.Typer(no_args_is_help=True)

DeliveryId = Annotated[str, typer.Argument(help="The delivery, as `channel list` shows it.")]


@app.command("list")
def list_deliveries(
    *,
    org: Annotated[str | None, typer.Option("--org", help="Of one organization only.")] = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the latest first.")] = 100,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List what webhooks were told, or are to be told."""

    async def work() -> Sequence[WebhookDelivery]:
        async with installation(config) as opened:
            organization_id = None
            if org is not None:
                organization_id = (await opened.organizations.by_slug(org)).organization_id
            return await _overview(opened).deliveries(organization_id=organization_id, most=most)

    found = run(work())
    lines = [
        f"{one.delivery_id}\t{one.event}\t{one.state}\t{one.attempts}\t{one.last_failure or '-'}"
        for one in found
    ]
    document = {"deliveries": [_described(one) for one in found]}
    show(document, as_json=as_json, lines=lines or ["Webhooks were told nothing."])


@app.command("show")
def show_delivery(delivery_id: DeliveryId, *, config: Config = None, as_json: Json = False) -> None:
    """Show a delivery and every attempt of it."""

    async def work() -> tuple[WebhookDelivery, Sequence[WebhookAttempt]]:
        async with installation(config) as opened:
            return await _overview(opened).history(delivery_id)

    delivery, attempts = run(work())
    document = _described(delivery) | {
        "history": [
            {"at": one.at.isoformat(), "result": one.code, "milliseconds": one.milliseconds}
            for one in attempts
        ]
    }
    lines = [f"{delivery.event} of enrolment {delivery.enrolment_id}: {delivery.state}"]
    lines += [f"{one.at.isoformat()}\t{one.code}\t{one.milliseconds} ms" for one in attempts]
    show(document, as_json=as_json, lines=lines)


@app.command("redeliver")
def redeliver(delivery_id: DeliveryId, *, config: Config = None, as_json: Json = False) -> None:
    """Tell a webhook again, under a new identifier, what it has lost or refused."""

    async def work() -> str:
        async with installation(config) as opened:
            redeliveries = Redeliveries(
                store=_overview(opened),
                clock=opened.clock,
                lifetime=timedelta(days=opened.settings.mint.delivery_days),
                actor=operator(),
            )
            return await redeliveries.redeliver(delivery_id)

    new_id = run(work())
    show({"delivery_id": new_id}, as_json=as_json, lines=[f"Queued as {new_id}."])


def _overview(opened: Installation) -> SqlWebhookOverview:
    return SqlWebhookOverview(opened.database, node=opened.node)


def _described(delivery: WebhookDelivery) -> dict[str, object]:
    return {
        "delivery_id": delivery.delivery_id,
        "enrolment_id": delivery.enrolment_id,
        "event": delivery.event.value,
        "state": delivery.state.value,
        "created_at": delivery.created_at.isoformat(),
        "due_at": delivery.due_at.isoformat(),
        "attempts": delivery.attempts,
        "last_failure": delivery.last_failure,
        "ended_at": delivery.ended_at.isoformat() if delivery.ended_at else None,
    }
