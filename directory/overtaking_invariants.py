"""What must hold of the order among the enrolments of one address? Judges values; reads nothing."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from directory.invariants import Broken, InspectedEnrolment, InspectedRenewed
from directory.status import Place

SWITCH_UNRECORDED: Final = "renewal.switch_recorded"
"""A renewal that is served by now, with nothing on record of it: late, as after a service stood still."""
_TOLERANCE = timedelta(days=1)


def broken_overtaking(enrolment: InspectedEnrolment, now: datetime) -> Iterator[Broken]:
    """Yield what does not hold of an enrolment's place."""
    renewed = enrolment.renewed
    if enrolment.place is None:
        yield "renewal.place", "it has no place among those of its address"
    if renewed is None:
        if enrolment.place is Place.WAITING:
            yield "renewal.renews", "it waits to take a place, but renews nothing"
        return
    ours = enrolment.organization_id, enrolment.scope, enrolment.address_key
    if (renewed.organization_id, renewed.scope, renewed.address_key) != ours:
        yield "renewal.same_recipient", "what it renews is another's"
    if (enrolment.place is Place.WAITING) != (enrolment.lead_event_count == 0):
        yield "audit.lead_event", f"{enrolment.lead_event_count} audit events say that it leads"
    if enrolment.live and enrolment.place is Place.WAITING:
        yield from _broken_wait(enrolment, renewed, now)
    elif enrolment.live and (enrolment.served_from is None or enrolment.served_from > now):
        yield "renewal.served", "it leads, but its certificate is not served"


def _broken_wait(enrolment: InspectedEnrolment, renewed: InspectedRenewed, now: datetime) -> Iterator[Broken]:
    if not renewed.leads:
        yield "renewal.has_leader", "it waits, but nothing leads before it"
    if enrolment.served_from is None:
        yield "renewal.served_from", "it waits without an end"
    elif enrolment.served_from + _TOLERANCE < now:
        yield SWITCH_UNRECORDED, f"it leads since {enrolment.served_from:%Y-%m-%d}, but nobody recorded it"
