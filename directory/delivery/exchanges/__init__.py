"""The way of a mail without a smart host: directly to the recipient's mail exchangers, never in clear."""
