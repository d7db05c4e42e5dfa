"""Shell for people: the URL of the database taken apart, and one function `sql` that asks it. No secret is printed.

The password reaches the client through its environment only. POSIX sh and awk; percent-encoding is undone byte by byte.
"""

from __future__ import annotations

from changeover.drivers.by_hand import demand

END = "CHANGEOVER"

_PARTS = r"""co_decoded() { printf %s "$1" | LC_ALL=C awk 'BEGIN { RS = "\001"; hex = "0123456789abcdef" }
{ while (match($0, /%[0-9A-Fa-f][0-9A-Fa-f]/)) { h = tolower(substr($0, RSTART + 1, 2))
printf "%s%c", substr($0, 1, RSTART - 1), (index(hex, substr(h, 1, 1)) - 1) * 16 + index(hex, substr(h, 2, 1)) - 1
$0 = substr($0, RSTART + 3) } printf "%s", $0 }'; }
co_address() { co_rest=${1#*://}; co_query=; co_socket=; co_user=; co_password=; co_port=3306
case $co_rest in *\?*) co_query="&${co_rest#*\?}&"; co_rest=${co_rest%%\?*};; esac
case $co_query in *\&unix_socket=*) co_socket=${co_query#*&unix_socket=}; co_socket=$(co_decoded "${co_socket%%&*}");; esac
case $co_rest in *@*) co_user=${co_rest%@*}; co_rest=${co_rest##*@};; esac
case $co_user in *:*) co_password=$(co_decoded "${co_user#*:}"); co_user=${co_user%%:*};; esac
co_user=$(co_decoded "$co_user"); co_name=$(co_decoded "${co_rest#*/}"); co_host=${co_rest%%/*}
case $co_host in *:*) co_port=${co_host##*:}; co_host=${co_host%:*};; esac
[ -n "$co_host" ] || co_host=127.0.0.1; }
co_run() { co_program=$(command -v "$1" || command -v "$2") || { echo "STOP: neither $1 nor $2 is installed" >&2; return 1; }; shift 2
if [ -n "$co_socket" ]; then set -- --protocol=socket --socket="$co_socket" "$@"
else set -- --protocol=tcp --host="$co_host" --port="$co_port" "$@"; fi
MYSQL_PWD=$co_password "$co_program" --no-defaults --default-character-set=utf8mb4 --user="$co_user" "$@"; }
sql() { co_run mariadb mysql --batch --raw --skip-column-names --binary-mode "$@" "$co_name"; }"""


def there(words: str) -> tuple[str, ...]:
    """The functions, and the address of the database, which must not be empty."""
    return (_PARTS, *demanded(words), f"co_address {words}")


def demanded(words: str) -> tuple[str, ...]:
    return (demand(f"[ -n {words} ]", "the address of the database is empty"),) if "$" in words else ()


def ask(*lines: str) -> str:
    """One call of the client that stops at the first error."""
    body = "\n".join(lines)
    return f"sql <<'{END}'\n{body}\n{END}"


def delimited(statement: str) -> tuple[str, ...]:
    """A statement with semicolons in it, such as a trigger, as the client takes it."""
    bare = statement.strip().rstrip(";").rstrip()
    if ";" not in bare:
        return (f"{bare}\n;",)
    mark = "//"
    while mark in bare:
        mark += "/"
    return (f"DELIMITER {mark}", bare, mark, "DELIMITER ;")
