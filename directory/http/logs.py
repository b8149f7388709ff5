"""What do the HTTP front end and its server log? Routes and results; no path, query, header or body."""

from typing import Any

from directory.http.middleware import ACCESS_LOGGER


def logging_config(level: str = "INFO") -> dict[str, Any]:
    """Return a configuration for `logging.config.dictConfig`.

    The server's own access log, which would repeat the whole query, stays silent; `AccessLog` takes its
    place.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "loggers": {
            "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},
            # At DEBUG and below, the server logs what it receives.
            "uvicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            "directory.http": {"handlers": ["stderr"], "level": level, "propagate": False},
            ACCESS_LOGGER: {"level": level},
        },
    }
