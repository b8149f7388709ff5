"""How is a failure recorded? By what it is and where it arose; its text may hold an address or a secret."""

import logging

from directory.errors import DirectoryError

_LOG = logging.getLogger(__name__)


def log_failure(what: str, error: BaseException) -> None:
    """Record a failure: a foreseen one as a warning, any other as an error with the place where it arose."""
    kind = type(error).__name__
    if isinstance(error, DirectoryError | TimeoutError):
        _LOG.warning("%s failed: %s", what, kind)
    else:
        _LOG.error("a fault in %s: %s%s", what, kind, _place(error))


def _place(error: BaseException) -> str:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return ""
    return f" in {traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
