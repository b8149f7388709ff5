"""The way of the key to its recipient: key mail, outgoing mail and its worker, SMTP."""
