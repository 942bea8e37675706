"""A log record as a line of JSON, as the services write theirs: the event is a word, the rest are fields."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

#: How the SDK words its records, `lease_lost execution=%s reason=%s`: a word and fields.
WORDED = re.compile(r"\w+(?: \w+=%s)*")
FIELD = re.compile(r"(\w+)=%s")


class LogLine(logging.Formatter):
    """Formats records; one that is worded by somebody else is its event as it stands."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        event, said = record.getMessage(), {}
        if isinstance(record.args, tuple) and WORDED.fullmatch(str(record.msg)):
            event = event.partition(" ")[0]
            said = dict(zip(FIELD.findall(record.msg), map(str, record.args), strict=True))
        line = said | {
            "event": event,
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
        }
        if record.exc_info or record.exc_text:
            line["exception"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        return json.dumps(line, separators=(",", ":"))
