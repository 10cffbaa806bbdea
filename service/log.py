"""One line of JSON per event: a static name, and fields that are ids and counts.

A resource body, a name, a birth date or a value in a log line is a defect of the
highest class; nothing here can find one, so callers pass ids only.
"""

import logging
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger


def configure(process: str, *, level: str = "info") -> None:
    """Send every event of this process, and of the libraries in it, to standard error.

    Args:
        process: the name of the process (web, worker, sweep), a field of each line.
        level: the lowest level that is written.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _in_process(process),
        structlog.processors.ExceptionRenderer(_where),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Unfailing(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    # Libraries put addresses and statements into their messages at lower levels.
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def get(**fields: object) -> FilteringBoundLogger:
    """Return a logger whose lines carry the fields."""
    logger: FilteringBoundLogger = structlog.get_logger(**fields)
    return logger


class _Unfailing:
    """A stream that a full disk or a reader that is gone does not make fail.

    A line is written after the commit it tells of; losing the line is better than answering
    that what was stored was not.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return 0

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            return


def _where(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None],
) -> list[dict[str, object]]:
    """Return the kind of each exception in the chain and the places it passed, innermost last.

    Neither messages nor local variables: both may hold what a patient's record says.
    """
    chain: list[dict[str, object]] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        chain.append({"type": type(error).__name__, "frames": places})
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def _in_process(process: str) -> structlog.typing.Processor:
    def add(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"process": process, **event}

    return add
