import pytest

from tests.gtunnel.conf.samples import CLIENT, client, process, reasons


def steps(text: str) -> list[tuple[str, object]]:
    return [(line.option, line.value) for line in process(text).library.steps]


def test_engines_and_their_commands_keep_their_order() -> None:
    first = "engine = a\nengineCtrl = PIN:1:2\nengineDefault = RSA\n"
    assert steps(f"{first}engine = auto\nengineCtrl = INIT\nfips = no\nprovider = x") == [
        ("engine", "a"),
        ("engineCtrl", ("PIN", "1:2")),
        ("engineDefault", "RSA"),
        ("engine", "auto"),
        ("engineCtrl", ("INIT", None)),
        ("fips", False),
        ("provider", "x"),
    ]


def test_a_pin_is_a_secret() -> None:
    (step,) = process("engineCtrl = PIN:hunter2").library.steps
    assert "hunter2" not in step.text
    assert "hunter2" not in "".join(reasons("engineCtl = PIN:hunter2\n" + CLIENT))


def test_the_seed_file() -> None:
    library = process("").library
    assert (library.seed_file, library.seed_bytes, library.overwrite_seed) == ("/dev/urandom", 1024, True)
    library = process("RNDfile = /x\nRNDbytes = 5\nRNDoverwrite = no").library
    assert (library.seed_file, library.seed_bytes, library.overwrite_seed) == ("/x", 5, False)


def test_a_service_names_its_engine() -> None:
    assert (client().tls.engine_id, client().tls.engine_number) == (None, None)
    assert client("engineId = pkcs11").tls.engine_id == "pkcs11"
    assert client("engineNum = 2").tls.engine_number == 2


@pytest.mark.parametrize("line", ["engine =", "engineCtrl = :x", "RNDbytes = x", "RNDbytes = -1", "fips = maybe"])
def test_what_makes_no_sense_is_refused(line: str) -> None:
    assert reasons(f"{line}\n{CLIENT}")


def test_engines_are_numbered_from_one() -> None:
    assert "Illegal engine number" in reasons(CLIENT + "engineNum = 0")[0]


def test_a_provider_s_parameter_has_three_parts() -> None:
    assert steps("providerParameter = p : pin = a=b") == [("providerParameter", ("p", "pin", "a=b"))]


@pytest.mark.parametrize("value", ["x", "p:x", "p:=1", ":x=1", "p:a b=1", "p]:x=1"])
def test_what_is_no_parameter_is_refused(value: str) -> None:
    assert "is needed" in reasons(f"providerParameter = {value}\n{CLIENT}")[0]
