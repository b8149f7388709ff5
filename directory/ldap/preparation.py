"""When do two spellings mean the same string? String preparation for matching (RFC 4518), in linear time."""


def prepared(value: bytes) -> bytes:
    """Return what a value is compared by: ASCII case folded, insignificant spaces removed.

    White space at the ends goes, runs of it inside become one space (RFC 4518 sections 2.2 and 2.6.1). Beyond
    ASCII nothing is folded or normalized, unlike section 2.4: U+212A KELVIN SIGN must not meet `k` in a mail
    address, and normalization of hostile text is not linear. What is not ASCII here is a local part in
    its normal form, of which every octet counts (RFC 9598 section 5).
    """
    return b" ".join(value.split()).lower()
