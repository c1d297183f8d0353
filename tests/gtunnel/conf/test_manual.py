import re

import pytest

from gtunnel.conf.manual import for_page, for_reading
from gtunnel.conf.option import Row, Scope, Topic
from gtunnel.conf.reference import remark
from gtunnel.conf.table import TABLE, find


def entry(name: str) -> str:
    """What docs/options.md says about an option."""
    return re.split(r"(?m)^##+ ", for_reading().split(f"### {name}\n")[1])[0]


def test_every_option_is_there_once_and_in_the_index() -> None:
    titles = re.findall(r"(?m)^### (.+)$", for_reading())
    assert len(titles) == len(set(titles))
    assert {title.partition(" ")[0] for title in titles} == {row.name for row in TABLE}
    index = for_reading().splitlines()[0]
    anchors = {re.sub(r"[^a-z0-9-]", "", title.lower().replace(" ", "-")) for title in titles}
    assert set(re.findall(r"\(#([^)]+)\)", index)) == anchors


def test_both_forms_say_the_same() -> None:
    assert len(re.findall(r"(?m)^#### ", for_page())) == len(re.findall(r"(?m)^### ", for_reading()))
    assert "#### accept = [HOST:]PORT|PATH\n\nAddress or Unix socket" in for_page()


def test_an_option_says_what_it_is() -> None:
    text = entry("TIMEOUTidle")
    assert "`TIMEOUTidle = SECONDS`" in text
    assert "Service option, since stunnel 4. Default: 43200 seconds." in text
    assert "Also written `curve`." in entry("curves")
    assert "Lines add up. Default: `a:SO_REUSEADDR=yes`, `l:TCP_NODELAY=yes`, `r:TCP_NODELAY=yes`." in entry("socket")
    assert "Default: no." in entry("verifyChain")
    assert "Default: none." in entry("cert")
    assert "Needs OpenSSL as a shared library" in entry("ticketKeySecret")
    assert "Global option" in entry("debug (global)")
    assert "Service option" in entry("debug (service)")
    assert "Global and service option" in entry("include")


@pytest.mark.parametrize("row", [row for row in TABLE if remark(row)], ids=lambda row: row.name)
def test_what_does_not_work_is_said(row: Row[object]) -> None:
    texts = for_reading().split(f"`{row.name} = {row.metavar}`\n")[1:]
    assert any(f"{remark(row)[1:]}.**" in text.split("\n#")[0] for text in texts)


def test_whatever_works_is_explained() -> None:
    # Those of the last chapters but one come with their own issue.
    missing = [row.name for row in TABLE if row.works and not row.more and row.topic is not Topic.PROTOCOLS]
    assert missing == []


@pytest.mark.parametrize("row", [row for row in TABLE if row.more], ids=lambda row: f"{row.scope.value}-{row.name}")
def test_lines_in_an_explanation_work(row: Row[object]) -> None:
    for code in re.findall(r"`([^`]+)`", row.more):
        name, equals, value = code.partition(" = ")
        if equals:
            meant = row if row.name == name else find(name, in_section=row.scope is Scope.SERVICE)
            meant = meant or find(name, in_section=row.scope is Scope.GLOBAL)
            assert meant is not None, code
            meant.read(value)


def test_the_words_are_plain_text() -> None:
    assert for_reading().isascii()
    for row in TABLE:
        assert not re.search(r"[*\[\]<>]", re.sub(r"`[^`]*`", "", row.more)), row.name
        assert row.more.count("`") % 2 == 0, row.name
        assert not row.more or row.more.endswith("."), row.name
