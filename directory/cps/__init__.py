"""What does the authority promise, as it is configured? Its certification practice statement (RFC 3647)."""
