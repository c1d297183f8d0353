from typing import ClassVar

from gtunnel.errors import AddressError, GtunnelError, UsageError
from gtunnel.events import Level


class SampleError(GtunnelError):
    template = "{who} failed after {seconds:.1f} s"
    level: ClassVar[Level] = Level.NOTICE


def test_an_error_is_its_template_filled_with_its_fields() -> None:
    error = SampleError(who="x", seconds=2)
    assert str(error) == "x failed after 2.0 s"
    assert error.fields == {"who": "x", "seconds": 2}
    assert error.level is Level.NOTICE


def test_a_field_is_not_taken_for_a_template() -> None:
    assert str(GtunnelError(detail="{who} %s")) == "{who} %s"


def test_an_error_is_logged_as_one_unless_it_says_otherwise() -> None:
    assert GtunnelError(detail="x").level is Level.ERR
    assert UsageError(detail="x").level is Level.ERR


def test_a_text_that_is_no_address_is_quoted() -> None:
    assert str(AddressError(text="a\nb", reason="it is not")) == r"'a\nb' is not an address: it is not"
