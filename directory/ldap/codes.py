"""Which numbers does the protocol use? Result codes, operation tags and object identifiers of LDAP."""

from enum import IntEnum


class ResultCode(IntEnum):
    """The result codes this server sends (RFC 4511 appendix A; RFC 3909 section 2.3)."""

    SUCCESS = 0
    OPERATIONS_ERROR = 1
    PROTOCOL_ERROR = 2
    TIME_LIMIT_EXCEEDED = 3
    SIZE_LIMIT_EXCEEDED = 4
    COMPARE_FALSE = 5
    COMPARE_TRUE = 6
    AUTH_METHOD_NOT_SUPPORTED = 7
    STRONGER_AUTH_REQUIRED = 8
    ADMIN_LIMIT_EXCEEDED = 11
    UNAVAILABLE_CRITICAL_EXTENSION = 12
    CONFIDENTIALITY_REQUIRED = 13
    NO_SUCH_ATTRIBUTE = 16
    UNDEFINED_ATTRIBUTE_TYPE = 17
    INAPPROPRIATE_MATCHING = 18
    NO_SUCH_OBJECT = 32
    INVALID_DN_SYNTAX = 34
    INAPPROPRIATE_AUTHENTICATION = 48
    INVALID_CREDENTIALS = 49
    BUSY = 51
    UNAVAILABLE = 52
    UNWILLING_TO_PERFORM = 53
    OTHER = 80
    CANCELED = 118
    NO_SUCH_OPERATION = 119
    CANNOT_CANCEL = 121


class RequestTag(IntEnum):
    """The identifier octet of each request's protocolOp (RFC 4511 section 4.2 onwards)."""

    BIND = 0x60
    UNBIND = 0x42
    SEARCH = 0x63
    MODIFY = 0x66
    ADD = 0x68
    DELETE = 0x4A
    MODIFY_DN = 0x6C
    COMPARE = 0x6E
    ABANDON = 0x50
    EXTENDED = 0x77


class ResponseTag(IntEnum):
    """The identifier octet of each response's protocolOp."""

    BIND = 0x61
    SEARCH_ENTRY = 0x64
    SEARCH_DONE = 0x65
    MODIFY = 0x67
    ADD = 0x69
    DELETE = 0x6B
    MODIFY_DN = 0x6D
    COMPARE = 0x6F
    EXTENDED = 0x78


class SearchScope(IntEnum):
    """How far below its base a search reaches (RFC 4511 section 4.5.1.2)."""

    BASE = 0
    ONE = 1
    SUBTREE = 2


START_TLS = "1.3.6.1.4.1.1466.20037"  # RFC 4511 section 4.14
NOTICE_OF_DISCONNECTION = "1.3.6.1.4.1.1466.20036"  # RFC 4511 section 4.4.1
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"  # RFC 4532
CANCEL = "1.3.6.1.1.8"  # RFC 3909
MANAGE_DSA_IT = "2.16.840.1.113730.3.4.2"  # RFC 3296
PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696
ALL_OPERATIONAL_ATTRIBUTES = "1.3.6.1.4.1.4203.1.5.1"  # RFC 3673
TRUE_FALSE_FILTERS = "1.3.6.1.4.1.4203.1.5.3"  # RFC 4526
