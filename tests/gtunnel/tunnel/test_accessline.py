"""The access log's line: whatever peers say, it is one line, and reads back as what they said."""

import json
import re
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from gtunnel.tunnel import accessline
from gtunnel.tunnel.endings import Ending
from gtunnel.tunnel.particulars import Particulars
from tests.support.accesslines import parse

KEYS = (
    *("time", "id", "service", "client", "destination", "target", "tls", "cipher", "sni", "peer"),
    *("to_target", "to_client", "duration", "end", "reason"),
)


def particulars(**changes: object) -> Particulars:
    usual: dict[str, object] = {
        "identifier": "7",
        "service": "web",
        "client": "192.0.2.2:4000",
        "destination": None,
        "target": "[2001:db8::1]:443",
        "tls": "TLSv1.3",
        "cipher": "TLS_AES_256_GCM_SHA384",
        "sni": "www.example.org",
        "subject": "CN=www.example.org",
        "to_target": 5,
        "to_client": 70000,
        "seconds": 1.23456,
    }
    return Particulars(**(usual | changes))  # type: ignore[arg-type]


def test_a_line_has_everything_in_its_order() -> None:
    line = accessline.line(particulars(), Ending("reset", "readsocket: Connection reset by peer (104)"))
    time, rest = line.split(" ", 1)
    assert re.fullmatch(r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", time)
    assert datetime.fromisoformat(time.removeprefix("time=")).tzinfo is not None
    assert rest == (
        "id=7 service=web client=192.0.2.2:4000 destination=- target=[2001:db8::1]:443 tls=TLSv1.3 "
        'cipher=TLS_AES_256_GCM_SHA384 sni=www.example.org peer="CN=www.example.org" to_target=5 to_client=70000 '
        'duration=1.235 end=reset reason="readsocket: Connection reset by peer (104)"'
    )
    assert tuple(parse(line)) == KEYS


def test_nothing_is_told_from_what_is_called_so() -> None:
    assert accessline.value(None) == "-"
    assert accessline.value("-") == '"-"'
    assert accessline.value("") == '""'
    assert accessline.value('say "x" \\') == r'"say \"x\" \\"'


HOSTILE = st.text(st.characters(), max_size=200) | st.text(' "\\=\n\r\x1b\u2028\u202e-end', max_size=40)


@given(HOSTILE, HOSTILE)
def test_no_peer_can_forge_a_field_or_a_line(sni: str, subject: str) -> None:
    line = accessline.line(particulars(sni=sni, subject=subject, service="ä"), Ending("closed"))
    assert line.isprintable()
    found = parse(line)
    assert tuple(found) == KEYS
    assert (found["sni"], found["peer"], found["end"]) == (sni, subject, "closed")
    assert found["service"] == "ä"


def test_a_long_value_is_cut() -> None:
    found = json.loads(accessline.value("ü" * 5000))
    assert found == "ü" * accessline.MAX_VALUE + "..."
