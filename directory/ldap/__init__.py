"""The read-only LDAP front end (RFC 4511): a protocol without I/O, and the asyncio shell that serves it."""
