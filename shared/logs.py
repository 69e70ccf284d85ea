"""Structured logs: one JSON object a line, never personal data (ids of members are not logged either)."""

from __future__ import annotations

import logging.config
from typing import Any

import structlog

#: Libraries that tell of every fetch and every metadata update.
_NOISY = ("aiokafka", "kafka", "faust", "mode", "asyncio")


def dict_config(level: str) -> dict[str, Any]:
    """Return the configuration for ``logging.config.dictConfig``: everything to stderr, as JSON."""
    enrich: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*enrich, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    render: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(),
    ]
    quiet = "WARNING" if level == "info" else level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": render,
                "foreign_pre_chain": enrich,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {name: {"level": quiet} for name in _NOISY},
    }


def configure(level: str) -> None:
    """Send this process's logs to stderr as JSON."""
    logging.config.dictConfig(dict_config(level))


def logger(name: str) -> Any:
    """Return the logger of a module."""
    return structlog.stdlib.get_logger(name)
