"""`pushpki cps`: what the authority promises, as it is configured now."""

from directory.cli.opening import Config, installation, run
from directory.cli.output import Json, progress, show


def cps(*, config: Config = None, as_json: Json = False) -> None:
    """Write the certification practice statement (RFC 3647) of the running configuration, in Markdown."""
    from directory.cps.facts import Facts, facts_of  # noqa: PLC0415 - for this command alone
    from directory.cps.statements import read_statements  # noqa: PLC0415 - likewise
    from directory.cps.writing import write  # noqa: PLC0415 - likewise
    from directory.wiring.practice import practice_of  # noqa: PLC0415 - likewise

    async def work() -> tuple[Facts, dict[str, str]]:
        async with installation(config) as opened:
            facts = facts_of(await practice_of(opened), opened.clock.now())
            return facts, dict(read_statements(opened.settings.cps.statements))

    facts, stated = run(work())
    statement = write(facts, stated)
    document = {**facts, "to_be_stated": list(statement.to_be_stated)}
    if statement.to_be_stated and not as_json:
        missing = len(statement.to_be_stated)
        progress.print(f"{missing} sections are to be stated by the operator (cps.statements).")
    show(document, as_json=as_json, lines=statement.text.splitlines())
