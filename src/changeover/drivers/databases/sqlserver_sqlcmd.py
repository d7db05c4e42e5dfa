"""How commands for people reach the database: `sqlcmd`, with the password in SQLCMDPASSWORD and in no argument."""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote
from urllib.parse import parse_qsl, unquote, urlsplit

from changeover.drivers.argv import shell_value
from changeover.drivers.databases.sqlserver_address import ENCRYPT, PORT, SCHEME

END = "CHANGEOVER"
_REFERENCE = re.compile(r"\$\{(?:env|file|cmd):[^{}]*\}")
_STAND_IN = "changeover-reference-{n}-"
_REFERENCE_STAND_IN = re.compile(r"changeover-reference-(\d+)-")
_FLAGS = "-b -I -x -l 5 -h -1 -W"
"""Stop at errors; quoted identifiers; no variables of sqlcmd's own; 5 s for the login; rows alone, without padding."""
_DECODE = r"""decoded() { local text=${1//\\/\\\\}; printf %b "${text//%/\\x}"; }"""
_SPLIT = """rest=${url#*://}; options=${rest##*\\?}; rest=${rest%%\\?*}; login=${rest%@*}; place=${rest##*@}
user=${login%%:*}; host=${place%%/*}; port=1433; case $host in (*:*) port=${host##*:}; host=${host%:*};; esac
encrypt=-N; case $options in (*encrypt=no*) encrypt=;; esac"""
_FROM_URL = (
    'SQLCMDPASSWORD=$(decoded "${login#*:}") sqlcmd -S "tcp:$host,$port" -d "$(decoded "${place#*/}")" '
    '-U "$(decoded "$user")" $encrypt '
)


@dataclass(frozen=True, slots=True)
class Sqlcmd:
    """Shell lines that must come first ("" if none), and the command up to its input."""

    setup: str
    command: str

    @classmethod
    def of(cls, url: str) -> Sqlcmd:
        """`url` as the configuration writes it: with references, of which no value is taken.

        Where references stand only in parts of the URL, each part is a word of its own; a reference that holds the whole URL
        is taken apart by the shell.
        """
        if not url.startswith(f"{SCHEME}://"):
            return cls(f"url={shell_value(url)}\n{_DECODE}\n{_SPLIT}", _FROM_URL + _FLAGS)
        references = _REFERENCE.findall(url)
        parts = urlsplit(_hidden(url, references))
        options = dict(parse_qsl(parts.query))
        place, port = parts.netloc.rpartition("@")[2], ""
        if re.search(r":[^\]:]+$", place):
            place, _, port = place.rpartition(":")
        server = _word(f"tcp:{place.strip('[]')},{port or PORT}", references)
        words = [_word(w or "", references) for w in (parts.path.removeprefix("/"), parts.username)]
        encrypt = "" if options.get(ENCRYPT) == "no" else "-N "
        setup = _DECODE if references else ""
        secret = parts.password or ""
        known = (
            _REFERENCE_STAND_IN.search(secret) is not None
        )  # one that is written out is not printed: the caller sets it
        password = f"SQLCMDPASSWORD={_word(secret, references)} " if known else ""
        return cls(setup, f"{password}sqlcmd -S {server} -d {words[0]} -U {words[1]} {encrypt}{_FLAGS}")

    def run(self, *lines: str) -> str:
        """A subshell that runs the T-SQL and ends as sqlcmd does. `GO` ends a batch."""
        setup = f"{self.setup}\n" if self.setup else ""
        body = "\n".join(lines)
        return f"({setup}{self.command} -i /dev/stdin <<'{END}'\n{body}\nGO\n{END}\n)"

    def ask(self, sql: str) -> str:
        """A subshell, without line breaks, that prints the one value of a query."""
        setup = f"{self.setup.replace(chr(10), '; ')}; " if self.setup else ""
        return f"({setup}{self.command} -Q {quote(f'SET NOCOUNT ON; {sql}')})"


def _hidden(url: str, references: list[str]) -> str:
    """References may hold any character, so they are taken out before the URL is taken apart."""
    for n, reference in enumerate(references):
        url = url.replace(reference, _STAND_IN.format(n=n), 1)
    return url


def _word(text: str, references: list[str]) -> str:
    """A shell word: what is written is decoded here, what a reference gives is decoded by the shell."""
    said = []
    for piece in re.split(r"(changeover-reference-\d+-)", text):
        if found := _REFERENCE_STAND_IN.fullmatch(piece):
            said.append(f'"$(decoded {shell_value(references[int(found[1])])})"')
        elif piece:
            said.append(quote(unquote(piece)))
    return "".join(said) or "''"
