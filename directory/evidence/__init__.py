"""What proves to somebody else that the audit log is whole? Signed heads, an export, and a check of both."""
