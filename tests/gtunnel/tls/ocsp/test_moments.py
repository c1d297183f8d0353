import datetime

import pytest

from gtunnel.tls.ocsp.moments import moment, now, text


class Old:
    this_update = datetime.datetime(2026, 11, 1, 9, 7, 3)  # noqa: DTZ001 - as older cryptography gives it
    next_update = None
    serial = 1


class New(Old):
    this_update_utc = datetime.datetime(2026, 11, 1, 9, 7, 3, tzinfo=datetime.UTC)


@pytest.mark.parametrize("kind", [Old, New])
def test_times_are_utc_in_every_version(kind: type) -> None:
    assert moment(kind(), "this_update") == datetime.datetime(2026, 11, 1, 9, 7, 3, tzinfo=datetime.UTC)
    assert moment(kind(), "next_update") is None


def test_what_is_no_time_is_an_error() -> None:
    with pytest.raises(TypeError):
        moment(Old(), "serial")


def test_times_are_shown_as_in_stunnels_log() -> None:
    assert text(New.this_update_utc) == "Nov  1 09:07:03 2026 GMT"
    assert now().tzinfo is datetime.UTC
