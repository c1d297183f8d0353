"""README is what a newcomer tries first: its configuration is one that gtunnel takes."""

import re
from pathlib import Path

from gtunnel.conf.load import parse_text
from gtunnel.conf.settings import Transparency

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_gateways_configuration_is_understood() -> None:
    (block,) = re.findall(r"gtunnel\.conf`:\n\n((?:    .*\n|\n)+?)\n    gtunnel netsetup plan", README)
    configuration = parse_text(re.sub(r"(?m)^    ", "", block).replace("/etc/ssl/certs/ca-certificates.crt", __file__))
    (service,) = configuration.services
    assert service.transparency is Transparency.BOTH
    assert service.capture is not None
    assert service.capture.ports == ((80, 80),)


def test_the_two_commands_stand_at_the_top() -> None:
    assert re.match(r"# gtunnel\n\n    make demo .*\n    make test .*\n", README)
