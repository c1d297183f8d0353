import pytest

from gtunnel.conf.options_refused import OPTIONS
from tests.gtunnel.conf.samples import CLIENT, FILE, reasons


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: row.name)
def test_what_cannot_work_is_refused_with_name_file_and_line(row: object) -> None:
    (row,) = [one for one in OPTIONS if one is row]
    (reason,) = reasons(f"{row.name} = x\n" + CLIENT)
    assert reason.startswith(f"{FILE}:1: ")
    assert f"option '{row.name}': {row.refusal}" in reason
