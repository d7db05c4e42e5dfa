"""The pure parts of the load client: records in files, errands, settings, pools."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from changeover.demo.load_book import Notebook
from changeover.demo.load_client import Client, Settings
from changeover.demo.load_line import CHECKING, NAIVE, Line, Pool
from changeover.demo.load_work import Mix, Work, look, request
from changeover.demo.records import FORMAT, Record, Seen, decode, encode, read_records
from changeover.demo.wire import RequestReader


def record(number: int, **more: object) -> Record:
    values: dict[str, object] = {
        "number": number,
        "client": "naive",
        "kind": "create",
        "path": "/orders",
        "planned": 1.0,
        "sent": 1.1,
        "ended": 1.5,
        "reused": False,
        "status": 201,
        "version": "1.0.0",
        "instance": "8001.7",
        "error": "",
        "order": number,
        "asked": Seen("r", 1, 2),
        "seen": (Seen("r", 1, 2),),
        **more,
    }
    return Record(**values)  # type: ignore[arg-type]


def test_records_survive_their_file(tmp_path: Path) -> None:
    book = Notebook(str(tmp_path / "out"), keep=True)
    book.note(record(1))
    book.flush()
    book.note(record(2, error="cut", version="", asked=None, seen=()))
    book.close()
    assert read_records(tmp_path / "out") == tuple(book.records)
    assert book.summary() == {"requests": 2, "failed": {"cut": 1}, "by_version": {"1.0.0": 1}}


@pytest.mark.parametrize("left", [1, 20, 60])
def test_a_torn_last_line_is_left_out(left: int) -> None:
    whole, torn = encode([record(1)]), encode([record(2)])[:left]
    assert list(decode([FORMAT, whole, torn])) == [record(1)]


def test_a_broken_line_before_the_last_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2 is no record"):
        list(decode([FORMAT, b"[1,2\n", encode([record(1)])]))


@pytest.mark.parametrize("first", [[], [b""], [b'{"format":"changeover.load/2"}\n']])
def test_another_format_is_an_error(first: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"changeover\.load/1"):
        list(decode(first))


def test_what_is_acknowledged() -> None:
    assert record(1).acknowledged
    assert not record(1, status=500).acknowledged
    assert not record(1, error="garbled").acknowledged


def test_the_mix_is_kept_and_orders_are_known_before_they_are_read() -> None:
    work, mix = Work("run", 1), Mix(create=0.2, read=0.4, change=0.2, list=0.1, slow=0.1)
    first = [work.next(mix) for _ in range(50)]
    assert {errand.kind for errand in first} == {"create", "slow"}
    work.acknowledged(7, "run-1")
    kinds = Counter(work.next(mix).kind for _ in range(2000))
    assert 700 < kinds["read"] < 900
    assert 300 < kinds["create"] < 500
    refs = [errand.asked.ref for errand in first if errand.asked]
    assert len(set(refs)) == len(refs)


def test_the_same_seed_asks_the_same() -> None:
    def errands(seed: int) -> list[object]:
        work = Work("run", seed)
        work.acknowledged(1, "run-0")
        return [work.next(Mix()) for _ in range(20)]

    assert errands(3) == errands(3)
    assert errands(3) != errands(4)


def test_an_errand_on_the_wire_is_a_request() -> None:
    errand = Work("run", 1).next(Mix(read=0, change=0, list=0))
    reader = RequestReader()
    reader.feed(request(errand, "shop:80", {"x-preview": "s"}, keep_alive=False))
    found = reader.next()
    assert found is not None
    assert (found.method, found.path, found.keep_alive) == ("POST", "/orders", False)
    assert (found.headers["host"], found.headers["x-preview"]) == ("shop:80", "s")
    body = json.loads(found.body)
    assert errand.asked
    assert (body["ref"], body["quantity"]) == (errand.asked.ref, errand.asked.quantity)


def test_what_an_answer_shows() -> None:
    order = b'{"id": 7, "ref": "r", "quantity": 2, "price": "1.05", "more": 1}'
    assert look("read", order) == (7, (Seen("r", 2, 105),))
    assert look("list", b'{"orders": [' + order + b"]}") == (0, (Seen("r", 2, 105),))
    assert look("slow", b"anything") == (0, ())


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"id": 1, "ref": "r", "quantity": 1, "price": ""}'])
def test_what_is_no_answer_of_the_shop(body: bytes) -> None:
    with pytest.raises(ValueError):
        look("read", body)


def test_settings_are_steered() -> None:
    settings = Settings("http://x", rate=5).steered('{"rate": 50, "slow": 0.25}')
    assert (settings.rate, settings.mix.slow, settings.mix.read) == (50, 0.25, 0.5)
    for wrong in ("[]", '{"speed": 1}', '{"rate"', '{"rate": "x"}'):
        with pytest.raises(ValueError):
            settings.steered(wrong)


def test_a_missing_control_file_changes_nothing(tmp_path: Path) -> None:
    settings = Settings("http://x")
    assert settings.steered_by(tmp_path / "none") is settings


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "https://x"])
def test_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        Client(Settings(url), lambda _: None)


def test_a_pool_gives_the_longest_idle_line_and_only_a_checking_one_looks() -> None:
    for client, expected in ((NAIVE, "closed"), (CHECKING, "open")):
        pool = Pool(client, 2, max_idle=60)
        closed, open_one, third = Line(), Line(), Line()
        closed.closed = True
        for line in (closed, open_one, third):
            pool.give(line)
        assert third.closed  # more than the pool keeps
        assert pool.take() is {"closed": closed, "open": open_one}[expected]


def test_a_line_that_was_idle_for_too_long_is_replaced() -> None:
    pool = Pool(NAIVE, 2, max_idle=60)
    line = Line()
    line.idle_since -= 61
    pool.give(line)
    assert pool.take() is None
    assert line.closed
