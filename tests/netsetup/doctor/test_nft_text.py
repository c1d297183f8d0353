from netsetup.doctor.nft_text import text


def test_rules_read_as_nft_prints_them() -> None:
    expressions = [
        {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": {"set": ["eth0", "eth1"]}}},
        {
            "match": {
                "op": "!=",
                "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                "right": {"prefix": {"addr": "192.0.2.0", "len": 24}},
            }
        },
        {"match": {"op": "==", "left": {"&": [{"meta": {"key": "mark"}}, 255]}, "right": 1}},
        {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}},
        {"counter": {"packets": 1, "bytes": 2}},
        {"drop": None},
    ]
    assert text(expressions) == (
        "iifname { eth0, eth1 } ip saddr != 192.0.2.0/24 meta mark & 255 1 ct state established,related counter drop"
    )


def test_maps_and_jumps() -> None:
    vmap = {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", {"drop": None}]]}}}
    assert text([vmap, {"jump": {"target": "web"}}]) == "ct state vmap { invalid : drop } jump web"
    assert text([{"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": "@ports"}}]) == (
        "tcp dport vmap @ports"
    )


def test_what_is_not_known_stays_json() -> None:
    assert text([{"payload": {"base": "nh"}}, {"redirect": {"port": 81}}]) == (
        '{"payload": {"base": "nh"}} {"redirect": {"port": 81}}'
    )
