"""What the tests with sockets share."""

from tests.directory.ldap.fixtures import run, tls

__all__ = ["run", "tls"]
