from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.workplace import Workplace


def test_each_worker_has_its_own() -> None:
    one, other = Workplace(SharedCounter()), Workplace(SharedCounter())
    assert one.scratch is not other.scratch
    assert one.connections is not other.connections
    assert one.register is None
    assert one.max_connections is None
