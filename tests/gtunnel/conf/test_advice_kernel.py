"""What is said of options for the kernel's TLS that do nothing."""

import pytest

from gtunnel.conf.advice import warnings
from tests.gtunnel.conf.samples import CLIENT, configuration


def said(lines: str) -> list[str]:
    return [advice.text for advice in warnings(configuration(CLIENT + lines)) if "KTLS" in advice.text]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("options = ENABLE_KTLS\nsslVersionMax = TLSv1.2\n", "options = ENABLE_KTLS has no effect below TLS 1.3"),
        (
            "options = ENABLE_KTLS\noptions = enable_ktls_tx_zerocopy_sendfile\n",
            "options = ENABLE_KTLS_TX_ZEROCOPY_SENDFILE has no effect: no files are sent",
        ),
    ],
)
def test_what_does_nothing_is_told(lines: str, text: str) -> None:
    assert said(lines) == [text]


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "options = ENABLE_KTLS\n",
        "options = ENABLE_KTLS\nsslVersionMax = TLSv1.3\n",
        "options = ENABLE_KTLS\noptions = -ENABLE_KTLS\nsslVersionMax = TLSv1.2\n",
        "options = ENABLE_KTLS_TX_ZEROCOPY_SENDFILE\noptions = -ENABLE_KTLS_TX_ZEROCOPY_SENDFILE\n",
    ],
)
def test_of_all_others_nothing_is_said(lines: str) -> None:
    assert said(lines) == []
