"""The service around the certificate authority: lookup, enrolment, delivery, LDAP and HTTP front ends."""

from importlib.metadata import version

__version__ = version("pushpki")
