"""What does a benchmark take for granted? If that does not hold its figures mean nothing, and it stops."""


class PremiseBroken(Exception):
    """A benchmark ran under other circumstances than it says."""

    def __init__(self, premise: str) -> None:
        super().__init__(premise)
        self.premise = premise


def require(holds: object, premise: str) -> None:
    """Stop, saying which premise was broken, unless it holds.

    Raises:
        PremiseBroken: it does not.
    """
    if not holds:
        raise PremiseBroken(premise)


class NotInstalled(Exception):
    """A program that a benchmark needs is not there; the others do not need it."""

    def __init__(self, program: str) -> None:
        super().__init__(program)
        self.program = program

    def __str__(self) -> str:
        return f"{self.program} IS NOT INSTALLED: run deploy/install-bench-tools.sh as root"
