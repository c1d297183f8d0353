"""The access log's line: `key=value`, always the same keys in the same order, each value one word or in quotes.

What peers say (server names, certificates) stands in it, so a value is written as it is only where that cannot be
mistaken; everything else is a string as JSON writes it, and what is not printable is escaped in any case.
"""

import json
import re
from datetime import datetime
from typing import Final

from gtunnel.tunnel.endings import Ending
from gtunnel.tunnel.particulars import Particulars

NOTHING: Final = "-"
# Characters of a value. A certificate's subject may be as long as its maker likes.
MAX_VALUE: Final = 1000
_PLAIN: Final = re.compile(r"(?!-$)[A-Za-z0-9._:/@%+,\[\]-]+", re.ASCII)


def line(particulars: Particulars, ending: Ending) -> str:
    """The line of a connection that ends now, without its end."""
    of = particulars
    fields = {
        "time": datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "id": of.identifier,
        "service": of.service,
        "client": of.client,
        "destination": of.destination,
        "target": of.target,
        "tls": of.tls,
        "cipher": of.cipher,
        "sni": of.sni,
        "peer": of.subject,
        "to_target": str(of.to_target),
        "to_client": str(of.to_client),
        "duration": f"{of.seconds:.3f}",
        "end": ending.word,
        "reason": ending.reason or None,
    }
    return " ".join(f"{key}={value(text)}" for key, text in fields.items())


def value(text: str | None) -> str:
    """A value, so that it can be read back: `-` is nothing, what begins with `"` is JSON, the rest is what it says."""
    if text is None:
        return NOTHING
    if len(text) > MAX_VALUE:
        text = text[:MAX_VALUE] + "..."
    if _PLAIN.fullmatch(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if quoted.isprintable() else "".join(map(_escaped, quoted))


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
