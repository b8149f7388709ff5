"""What may be certified, and how: addresses, profiles, keys, issuance, key packages, sealing.

Knows nothing of sockets, SQL, HTTP, mail or organizations, and nothing of the package `directory`.
"""
