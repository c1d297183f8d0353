import os
from collections.abc import Iterator

import pytest

from netsetup.errors import RoutingError
from netsetup.kernel.routing import Routing
from netsetup.state import MAIN_TABLE, Family, ForeignRule, IpRule, Mark, Route
from tests.netsetup.world import World, inside

pytestmark = pytest.mark.root

MARK = Mark(0x10, 0xF0)
RULES = [
    rule
    for family, host in ((Family.IPV4, "127.0.0.1"), (Family.IPV6, "::1"))
    for rule in (
        IpRule(family=family, priority=5000, table=MAIN_TABLE, mark=MARK, interface="lo"),
        IpRule(family=family, priority=5001, table=100000, mark=MARK),
        IpRule(family=family, priority=5003, table=100, interface="lo", source=host, source_port=80),
    )
]
ROUTES = [Route(family=family, table=table) for family in Family for table in (100, 100000)]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


def test_what_was_added_is_read_back_and_can_be_deleted_twice_over(world: World) -> None:
    def work() -> None:
        with Routing() as routing:
            _, others = routing.rules()
            for rule in (*RULES, *RULES):
                routing.add_rule(rule)
            for route in (*ROUTES, *ROUTES):
                routing.add_route(route)
            assert routing.rules() == (RULES, others)
            assert routing.own_routes() == ROUTES
            assert routing.routes(100) == []
            for rule in (*RULES, *RULES):
                routing.delete_rule(rule)
            for route in (*ROUTES, *ROUTES):
                routing.delete_route(route)
            assert routing.rules() == ([], others)
            assert routing.own_routes() == []

    before = world.snapshot()
    inside(world.gateway, work)
    assert world.snapshot() == before


def test_rules_and_routes_of_another_shape_are_not_ours(world: World) -> None:
    for command in (
        "ip rule add pref 40 not fwmark 0x1 lookup 100 proto 157",
        "ip rule add pref 41 fwmark 0x2/0xff dport 80 ipproto tcp lookup 100 proto 157",
        "ip rule add pref 42 from 192.0.2.0/24 lookup 100 proto 157",
        "ip rule add pref 43 fwmark 0x3/0xff lookup 100",
        "ip route add 203.0.113.0/24 dev lo table 100 proto 157",
        "ip route add local default dev lo table 100",
    ):
        world.run(world.server, command)

    def work() -> None:
        with Routing() as routing:
            ours, others = routing.rules()
            assert ours == []
            assert [rule.priority for rule in others if rule.table == 100] == [40, 41, 42, 43]
            assert others[1] == ForeignRule(
                family=Family.IPV4, priority=40, table=100, mark=Mark(1, 0xFFFFFFFF), inverted=True
            )
            assert str(others[1]) == "ip -4 rule pref 40 not fwmark 0x1/0xffffffff lookup 100"
            assert routing.own_routes() == []
            assert len(routing.routes(100)) == 2

    inside(world.server, work)


def test_a_refusal_is_a_sentence(world: World) -> None:
    def work() -> None:
        with Routing() as routing:
            os.setresuid(65534, 65534, 65534)
            with pytest.raises(RoutingError, match=r"ip -4 route local default .*: Operation not"):
                routing.add_route(ROUTES[0])
            with pytest.raises(RoutingError, match=r"ip -4 rule pref 5000 .*: Operation not permitted"):
                routing.add_rule(RULES[0])

    inside(world.client, work)
