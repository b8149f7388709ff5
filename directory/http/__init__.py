"""The HTTP front end: RFC 4387 certificate retrieval, the JSON API, issuer certificates, health."""
