"""Reading JSON from strangers: everything odd is refused with the same three facts, and within bounds.

Bounds are proven by counting work, never by a stopwatch.
"""

import copy
import gzip
import json
import pickle
import tracemalloc
import zlib
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_profiles import reading
from fhir_profiles.reading import Unreadable

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"hello", 400, id="not JSON"),
        pytest.param(b"<Bundle/>", 400, id="XML"),
        pytest.param(b"[]", 400, id="a list"),
        pytest.param(b'"Bundle"', 400, id="a text"),
        pytest.param(b"null", 400, id="null"),
        pytest.param(b'{"a":1', 400, id="truncated"),
        pytest.param(b'{"a":"b', 400, id="truncated in a string"),
        pytest.param(b'{"a":1} {"b":2}', 400, id="two objects"),
        pytest.param(b'{"a":1,}', 400, id="trailing comma"),
        pytest.param(b"{'a':1}", 400, id="single quotes"),
        pytest.param(b'{"a":1,"a":2}', 400, id="the same key twice"),
        pytest.param(b'{"b":[{"a":1,"\\u0061":2}]}', 400, id="the same key twice, once escaped"),
        pytest.param(b'{"a":":","b":{"a" : 1, "a" : 2}}', 400, id="the same key twice, among colons"),
        pytest.param(b'{"a":NaN}', 400, id="NaN"),
        pytest.param(b'{"a":Infinity}', 400, id="Infinity"),
        pytest.param(b'{"a":-Infinity}', 400, id="-Infinity"),
        pytest.param(b'{"a":01}', 400, id="leading zero"),
        pytest.param(b'{"a":-0}', 400, id="minus zero"),
        pytest.param(b'{"a":1.}', 400, id="point without digits"),
        pytest.param(b'{"a":1e9999999}', 400, id="huge exponent"),
        pytest.param(b'{"a":1e-9999999}', 400, id="tiny exponent"),
        pytest.param(b'{"a":1e99999999999999999999}', 400, id="exponent of many digits"),
        pytest.param(b'{"a":0.%s}' % (b"1" * 1000), 400, id="many decimals"),
        pytest.param(b'{"a":%s}' % (b"9" * 65), 400, id="many digits"),
        pytest.param(b'{"a":%s}' % (b"9" * 5000), 400, id="thousands of digits"),
        pytest.param(b'{"a":"\xff"}', 400, id="not UTF-8"),
        pytest.param('{"a":"b"}'.encode("utf-16"), 400, id="UTF-16"),
        pytest.param(b'{"a":"\\ud800"}', 400, id="half a surrogate pair"),
        pytest.param(b'{"a":"\x00"}', 400, id="a raw control character"),
        pytest.param(b'{"a":' * 900_000, 400, id="nesting bomb of objects"),
        pytest.param(b"[" * 900_000, 400, id="nesting bomb of lists"),
        pytest.param(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", 400, id="one level too deep"),
        pytest.param(b'{"a":"' + b"x" * (11 * MEBIBYTE) + b'"}', 413, id="11 MiB"),
        pytest.param(b'{"a":[' + b"0," * 1_000_000 + b"0]}", 413, id="a million values"),
    ],
)
def test_a_body_that_cannot_be_trusted_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(Unreadable) as refused:
        reading.read(body)

    assert refused.value.status == status
    assert refused.value.code in ("structure", "value", "too-long", "too-costly")
    assert len(refused.value.detail) < 100


def test_the_deepest_body_allowed_is_read() -> None:
    body = b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"

    assert reading.write(reading.read(body)) == body


@pytest.mark.parametrize(
    "number",
    ["7.10", "0.0000001", "1e5", "1E+5", "-0.0", "1.0", "5", "-3", "100000000000000000000", "1.000e-245"],
)
def test_a_number_is_written_with_the_digits_it_was_read_with(number: str) -> None:
    body = f'{{"value":{number}}}'.encode()

    value = reading.read(body)

    assert reading.write(value) == body
    assert reading.write(copy.deepcopy(value)) == body
    assert reading.write(pickle.loads(pickle.dumps(value))) == body
    assert value["value"] == Decimal(number)


def test_a_huge_exponent_never_becomes_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def decimal(text: str) -> Decimal:
        made.append(text)
        return Decimal(text)

    monkeypatch.setattr(reading, "Decimal", decimal)
    for number in (b"1e9999999", b"1e-301", b"1." + b"1" * 5_000_000):
        with pytest.raises(Unreadable):
            reading.read(b'{"a":%s}' % number)

    assert made == []


def test_keys_in_strings_are_not_keys() -> None:
    body = json.dumps({"a": '"a":1,"a":2 \\" : {', "b": {"a": ":"}}).encode()

    assert reading.read(body) == json.loads(body)


_JSON = st.recursive(
    st.booleans() | st.none() | st.integers(-(10**20), 10**20) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=30,
)


@given(st.dictionaries(st.text(max_size=8), _JSON, max_size=5), st.sampled_from([None, 1]))
def test_what_a_stricter_world_writes_is_read_back(value: dict[str, object], indent: int | None) -> None:
    body = json.dumps(value, indent=indent).encode()

    assert reading.read(body) == value
    assert json.loads(reading.write(reading.read(body))) == value


@settings(max_examples=500)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0019eE+-.ntf ', max_size=60).map(str.encode))
def test_whatever_arrives_it_is_read_or_refused(body: bytes) -> None:
    try:
        value = reading.read(body)
    except Unreadable:
        return
    assert reading.read(reading.write(value)) == value


def test_gzip_is_unpacked() -> None:
    body = gzip.compress(b'{"a":') + gzip.compress(b"1}")

    assert reading.inflate(body) == b'{"a":1}'


def test_a_gzip_bomb_unpacks_no_more_than_the_limit() -> None:
    bomb = gzip.compress(b"0" * (200 * MEBIBYTE))

    tracemalloc.start()
    with pytest.raises(Unreadable) as refused:
        reading.inflate(bomb, limit=MEBIBYTE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert refused.value.status == 413
    assert peak < 4 * MEBIBYTE


def test_a_gzip_of_a_million_empty_members_is_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = 0
    genuine = zlib.decompressobj

    def counting(**options: int) -> object:
        nonlocal opened
        opened += 1
        return genuine(**options)

    monkeypatch.setattr(zlib, "decompressobj", counting)
    with pytest.raises(Unreadable):
        reading.inflate(gzip.compress(b"") * 100_000)

    assert opened <= 16


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not gzip", id="not gzip"),
        pytest.param(gzip.compress(b"0" * 1000)[:-4], id="truncated"),
        pytest.param(gzip.compress(b"0") + b"more", id="trailing bytes"),
        pytest.param(gzip.compress(b"0" * 1000)[:-8] + b"12345678", id="wrong checksum"),
    ],
)
def test_broken_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        reading.inflate(body)

    assert refused.value.status == 400
