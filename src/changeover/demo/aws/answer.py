"""The query protocol of AWS, by hand: parameters out of a form, answers and errors as XML. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

V2 = "2015-12-01"
CLASSIC = "2012-06-01"


class Refused(Exception):
    """A call that AWS would not accept, with its own code."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def parameters(body: bytes) -> dict[str, Any]:
    """`Targets.member.1.Id=a` -> {"Targets": [{"Id": "a"}]}."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        words = [w for w in name.split(".") if w != "member"]
        here: Any = root
        for word, after in zip(words, [*words[1:], ""], strict=True):
            if after:
                here = here.setdefault(word, {})
            else:
                here[word] = value
    return {k: _listed(v) for k, v in root.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found = {k: _listed(v) for k, v in value.items()}
    if found and all(re.fullmatch(r"\d+", k) for k in found):
        return [found[k] for k in sorted(found, key=int)]
    return found


def error(code: str, message: str, version: str) -> bytes:
    """An error as boto3 reads it."""
    return (
        f'<ErrorResponse xmlns="{_space(version)}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>stand-in</RequestId></ErrorResponse>"
    ).encode()


def done(action: str, content: Mapping[str, Any], version: str) -> bytes:
    """An answer: nested maps and lists as elements."""
    return (
        f'<{action}Response xmlns="{_space(version)}"><{action}Result>{_xml(content)}</{action}Result>'
        f"<ResponseMetadata><RequestId>stand-in</RequestId></ResponseMetadata></{action}Response>"
    ).encode()


def _space(version: str) -> str:
    return f"http://elasticloadbalancing.amazonaws.com/doc/{version}/"


def _xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{k}>{_xml(v)}</{k}>" for k, v in value.items() if v is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(f"<member>{_xml(v)}</member>" for v in value)
    return escape(str(value))


def cbor_error(code: str, message: str) -> bytes:
    """An error as the services that speak CBOR (RFC 8949) write it: a map of two texts."""
    return bytes([0xA2]) + b"".join(map(_cbor, ("__type", code, "message", message)))


def _cbor(text: str) -> bytes:
    raw = text.encode()
    assert len(raw) < 256
    return (bytes([0x60 + len(raw)]) if len(raw) < 24 else bytes([0x78, len(raw)])) + raw
