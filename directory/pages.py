"""Where are the pages that recipients are sent to?"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The recipients' pages under their public address."""

    url: str
    """Without a slash at its end."""

    def install(self, token: str) -> str:
        """Return where the key package and its instructions are."""
        return f"{self.url}/install/{token}"

    def proof(self, token: str) -> str:
        """Return where a recipient says that he could read the mail with this link."""
        return f"{self.url}/install/prove/{token}"

    def stop(self, token: str) -> str:
        """Return where a recipient says that he wants no mail."""
        return f"{self.url}/install/stop/{token}"
