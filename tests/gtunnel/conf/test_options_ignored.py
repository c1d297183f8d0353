import pytest

from gtunnel.conf.options_ignored import OPTIONS
from tests.gtunnel.conf.samples import CLIENT, FILE, configuration


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: row.name)
def test_an_option_without_a_meaning_here_is_noted_whatever_it_says(row: object) -> None:
    (row,) = [one for one in OPTIONS if one is row]
    found = configuration(f"{row.name} = anything\n" + CLIENT)
    assert found.notes == (f"{FILE}:1: option '{row.name}' is ignored: {row.ignored}",)
    assert found.services[0].timeouts == configuration(CLIENT).services[0].timeouts
