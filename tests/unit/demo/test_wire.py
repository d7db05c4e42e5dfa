"""HTTP/1.1 by hand: every split of the bytes gives the same messages, and nonsense is refused."""

from __future__ import annotations

import pytest

from changeover.demo.wire import Answer, AnswerReader, Malformed, Request, RequestReader, render

POST = b"POST /orders?a=b%20c HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
GET = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def requests(*parts: bytes) -> list[Request]:
    reader, found = RequestReader(), []
    for part in parts:
        reader.feed(part)
        while (request := reader.next()) is not None:
            found.append(request)
    return found


def answer(*parts: bytes, ended: bool = False) -> Answer | None:
    reader = AnswerReader()
    found = None
    for part in parts:
        reader.feed(part)
        found = found or reader.next()
    return found or reader.next(ended=ended)


def test_pipelined_requests() -> None:
    post, get = requests(POST + b"\r\n" + GET)
    assert (post.method, post.path, dict(post.query), post.body) == ("POST", "/orders", {"a": "b c"}, b"body")
    assert (post.keep_alive, get.keep_alive) == (True, False)
    assert get.headers["host"] == "x"


def test_a_request_in_two_parts() -> None:
    for cut in range(1, len(POST)):
        assert requests(POST[:cut], POST[cut:]) == requests(POST)


def test_http_1_0_closes_unless_asked() -> None:
    (old,) = requests(b"GET / HTTP/1.0\r\n\r\n")
    (kept,) = requests(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
    assert (old.keep_alive, kept.keep_alive) == (False, True)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411),
        (b"x" * 40_000, 431),
    ],
)
def test_no_request(text: bytes, status: int) -> None:
    with pytest.raises(Malformed) as error:
        requests(text)
    assert error.value.status == status


WHOLE = render(201, b'{"id": 1}', {"x-version": "1.0.0"}, keep_alive=True)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"


def test_an_answer_in_two_parts() -> None:
    for cut in range(1, len(WHOLE)):
        assert answer(WHOLE[:cut]) is None
        found = answer(WHOLE[:cut], WHOLE[cut:])
        assert found is not None
        assert (found.status, found.body, found.headers["x-version"]) == (201, b'{"id": 1}', "1.0.0")
        assert found.keep_alive


def test_a_chunked_answer_in_two_parts() -> None:
    for cut in range(1, len(CHUNKED)):
        assert answer(CHUNKED[:cut], ended=True) is None
        found = answer(CHUNKED[:cut], CHUNKED[cut:])
        assert found is not None
        assert (found.body, found.keep_alive) == (b"abcde", True)


def test_an_answer_that_ends_with_its_connection() -> None:
    text = b"HTTP/1.1 200 OK\r\n\r\nall of it"
    assert answer(text) is None
    found = answer(text, ended=True)
    assert found is not None
    assert (found.body, found.keep_alive) == (b"all of it", False)


def test_an_answer_cut_in_its_body_is_none() -> None:
    assert answer(WHOLE[:-1], ended=True) is None


@pytest.mark.parametrize("text", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", CHUNKED.replace(b"3\r\n", b"z\r\n")])
def test_no_answer(text: bytes) -> None:
    with pytest.raises(Malformed):
        answer(text)


def test_close_is_said() -> None:
    found = answer(render(503, b"", {}, keep_alive=False))
    assert found is not None
    assert not found.keep_alive
