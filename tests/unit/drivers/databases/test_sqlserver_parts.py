"""The pure parts of the SQL Server driver."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from changeover.core.errors import DatabaseUnreachable, RestorePointFailed, StatementFailed
from changeover.core.model import BackfillStatement
from changeover.drivers.databases import sqlserver_types as types
from changeover.drivers.databases.compare import Sum
from changeover.drivers.databases.sqlserver_address import Address, other_database
from changeover.drivers.databases.sqlserver_backfill import Backfilling
from changeover.drivers.databases.sqlserver_backup import BackupSettings, judge
from changeover.drivers.databases.sqlserver_blocker import described
from changeover.drivers.databases.sqlserver_errors import masked
from changeover.drivers.databases.sqlserver_faults import Message
from changeover.drivers.databases.sqlserver_points import Card, Points
from changeover.drivers.databases.sqlserver_session import Sessions, milliseconds
from changeover.drivers.databases.sqlserver_sqlcmd import Sqlcmd
from changeover.drivers.databases.sqlserver_text import bare, count_of, fill, last_part, literal, quoted
from changeover.drivers.databases.sqlserver_tls import is_for

# the address -------------------------------------------------------------------------------------------------


def test_an_address_is_taken_apart() -> None:
    found = Address.of("mssql://sh%40op:p%3Aw%2F%25@[::1]:1444/my%20shop?encrypt=no")
    assert found == Address("::1", 1444, "my shop", "sh@op", "p:w/%", encrypt=False)
    assert found.alone
    plain = Address.of("mssql://shop:pw@db-1/shop?cafile=/ca.pem")
    assert (plain.port, plain.encrypt, plain.cafile, plain.alone) == (1433, True, "/ca.pem", False)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:hunter2@db/shop",
        "mssql://shop:hunter2@db:x/shop",
        "mssql://shop:hunter2@db",
        "mssql://:hunter2@db/shop",
        "mssql://shop:hunter2@db/a/b",
        "mssql://shop:hunter2@db/shop?encrypt=maybe",
        "mssql://shop:hunter2@db/shop?trust=yes",
        f"mssql://shop:{'hunter2' * 30}@db/shop",
        "mssql://shop:hunter2%00@db/shop",
        "",
    ],
)
def test_what_is_no_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(DatabaseUnreachable) as refused:
        Address.of(url)
    assert "hunter2" not in str(refused.value) + "".join(refused.value.next)


def test_another_database_keeps_everything_else() -> None:
    assert other_database("mssql://a:b%2F@h:1/x?encrypt=no", "y z") == "mssql://a:b%2F@h:1/y%20z?encrypt=no"


def test_a_password_is_taken_out_of_a_text() -> None:
    sessions = Sessions(lambda: "mssql://shop:hunt%25er2@db/shop", "production")
    assert sessions.redact("got hunt%er2 and hunt%25er2") == "got *** and ***"


def test_names_of_sessions() -> None:
    assert Sessions(str, "production").name(7) == "changeover/production/7"
    odd = Sessions(str, "a/b" * 60).name(7)
    assert odd.startswith("changeover/")
    assert odd.endswith("/7")
    assert len(odd) < 128


def test_no_wait_is_never_rounded_to_none() -> None:
    assert [milliseconds(s) for s in (0, 0.0001, 0.1, 5)] == [-1, 1, 100, 5000]


# text --------------------------------------------------------------------------------------------------------


def test_names_and_values_cannot_end_early() -> None:
    assert quoted("a]b") == "[a]]b]"
    assert literal("it's") == "N'it''s'"
    assert last_part("[dbo].[my orders]") == "my orders"


def test_markers_are_filled_outside_quotes_only() -> None:
    sql = "UPDATE t SET a = ':lo' /* :lo /* :hi */ */ WHERE id > :lo AND id <= :hi -- :hi"
    assert fill(sql, {"lo": "@x", "hi": "@y"}) == (
        "UPDATE t SET a = ':lo' /* :lo /* :hi */ */ WHERE id > @x AND id <= @y -- :hi"
    )


def test_the_end_of_a_statement() -> None:
    assert bare("SELECT 1 ; -- done;") == "SELECT 1"
    assert bare("SELECT ';' ") == "SELECT ';'"


@pytest.mark.parametrize(
    ("update", "count"),
    [
        ("UPDATE orders SET a = b WHERE a IS NULL;", "SELECT COUNT_BIG(*) FROM orders WHERE a IS NULL"),
        (
            "UPDATE o SET a = 1 FROM dbo.orders AS o JOIN x ON x.id = o.id WHERE o.a IS NULL",
            "SELECT COUNT_BIG(*) FROM dbo.orders AS o JOIN x ON x.id = o.id WHERE o.a IS NULL",
        ),
        (
            "UPDATE dbo.orders SET a = 1 FROM [Orders] WHERE a IS NULL",
            "SELECT COUNT_BIG(*) FROM [Orders] WHERE a IS NULL",
        ),
        (
            "UPDATE orders SET a = x.b FROM x WHERE x.id = orders.id",
            "SELECT COUNT_BIG(*) FROM orders, x WHERE x.id = orders.id",
        ),
        (
            "UPDATE orders SET a = (SELECT b FROM c WHERE d = 1) WHERE a IS NULL",
            "SELECT COUNT_BIG(*) FROM orders WHERE a IS NULL",
        ),
    ],
)
def test_an_update_as_a_count(update: str, count: str) -> None:
    assert count_of(update) == count


# types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("INTEGER", "int"),
        ("[nvarchar] (200)", "nvarchar(200)"),
        ("nvarchar(MAX)", "nvarchar(max)"),
        ("numeric(10)", "numeric(10,0)"),
        ("decimal", "decimal(18,0)"),
        ("double precision", "float"),
        ("float(24)", "real"),
        ("float(53)", "float"),
        ("datetime2", "datetime2(7)"),
        ("rowversion", "timestamp"),
        ("national character varying(10)", "nvarchar(10)"),
    ],
)
def test_a_type_has_one_spelling(written: str, plain: str) -> None:
    assert types.plain(written) == plain


def test_a_column_has_the_same_spelling() -> None:
    assert types.of_column("nvarchar", 400, 0, 0) == "nvarchar(200)"
    assert types.of_column("varbinary", -1, 0, 0) == "varbinary(max)"
    assert types.of_column("decimal", 9, 10, 2) == "decimal(10,2)"
    assert types.of_column("datetime2", 8, 27, 7) == "datetime2(7)"
    assert types.of_column("bigint", 8, 19, 0) == "bigint"


# keys --------------------------------------------------------------------------------------------------------

KEYED = Backfilling(BackfillStatement("UPDATE t SET a = 1 WHERE a IS NULL", "f", 1, "t", "id", "~ t.a"))


@pytest.mark.parametrize(
    ("kind", "first", "below"),
    [
        ("int", "1", "0"),
        ("tinyint", "0", "-1"),  # compared as bigint
        ("decimal", "-5", "-6"),
        ("varchar", "a", ""),
        ("uniqueidentifier", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_a_value_below_the_first_key(kind: str, first: str, below: str) -> None:
    assert KEYED._below(kind, 0, first) == below


@pytest.mark.parametrize(
    ("kind", "scale", "first"),
    [
        ("bigint", 0, str(-(2**63))),
        ("decimal", 2, "1.50"),
        ("nvarchar", 0, "   "),
        ("uniqueidentifier", 0, "00000000-0000-0000-0000-000000000000"),
        ("datetime2", 0, "2026-01-01"),
    ],
)
def test_where_there_is_none_it_says_so(kind: str, scale: int, first: str) -> None:
    with pytest.raises(StatementFailed, match="counts rows off"):
        KEYED._below(kind, scale, first)


# words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text", "shown"),
    [
        (
            2601,
            "Doppelter Schlüssel in 'dbo.t'. Der Wert ist (a, (b)).",
            "Doppelter Schlüssel in 'dbo.t'. Der Wert ist (…)",
        ),
        (2628, "Data in 'dbo.t', column 'c' truncated: 'o'brien'.", "Data in 'dbo.t', column 'c' …"),
        (245, "the varchar value 'o'brien' to int.", "the varchar value '…' to int."),
        (220, "type tinyint, value = 300.", "type tinyint, value = …"),
        (547, "conflicted with\n  'FK_x'", "conflicted with 'FK_x'"),
    ],
)
def test_values_are_masked_whatever_the_language(number: int, text: str, shown: str) -> None:
    assert masked(Message(number, 16, text)) == shown


def test_a_blocker_in_words() -> None:
    row = (57, "shop", "web", "app-1", "sleeping", 130, "UPDATE t SET a = 'secret' WHERE b = N'x")
    assert described(row) == (
        'session 57 (shop, "web", from app-1), sleeping, in a transaction for 2 min: '
        "UPDATE t SET a = '…' WHERE b = N'…'"
    )
    assert described((-2, *(None,) * 6)) == "an orphaned distributed transaction"
    assert described((57, *(None,) * 6)) == "session 57 (unknown login), state unknown"


# by hand -----------------------------------------------------------------------------------------------------


def test_the_password_is_in_no_argument() -> None:
    of = Sqlcmd.of("mssql://sh%40op:a${env:PW}@db-1:1444/my%20shop?encrypt=no")
    assert of.command.startswith(
        'SQLCMDPASSWORD=a"$(decoded "${PW:?}")" sqlcmd -S tcp:db-1,1444 -d \'my shop\' -U sh@op -b'
    )
    assert "-N" in Sqlcmd.of("mssql://shop:${file:/run/pw}@db/shop").command
    assert '"$(cat /run/pw)"' in Sqlcmd.of("mssql://shop:${file:/run/pw}@db/shop").command


def test_a_password_that_is_written_out_is_not_printed() -> None:
    assert "hunter2" not in Sqlcmd.of("mssql://shop:hunter2@db/shop").command


# restore points ----------------------------------------------------------------------------------------------


def test_what_counts_as_compared() -> None:
    one, two, other = Sum(1, 1), Sum(2, 2), Sum(3, 3)
    assert judge({"t": one}, {"t": one}, {"t": one}) == "compared"
    assert judge({"t": one, "u": one}, {"t": one, "u": two}, {"t": one, "u": two}) == "restored"
    assert judge(None, None, {"t": one}) == "restored"
    claim = "[dbo].[changeover_claim]"
    assert judge({"t": one, claim: one}, {"t": one, claim: two}, {"t": one, claim: two}) == "compared"
    with pytest.raises(RestorePointFailed, match="t has 1 rows, restored 3"):
        judge({"t": one}, {"t": one}, {"t": other})
    with pytest.raises(RestorePointFailed, match="missing"):
        judge({"t": one}, {"t": one}, {})


def test_where_the_server_keeps_a_backup(tmp_path) -> None:
    def at(directory: str) -> str:
        return BackupSettings(tmp_path, server_directory=directory).file("1.1.0-expand", "production")

    assert at("") == "changeover-production-1.1.0-expand.bak"
    assert at("/backup/") == "/backup/changeover-production-1.1.0-expand.bak"
    assert at("D:\\Backup") == "D:\\Backup\\changeover-production-1.1.0-expand.bak"


def test_a_card_is_written_whole_or_not_at_all(tmp_path) -> None:
    from changeover.core.model import RestorePoint

    points = Points(tmp_path / "cards")
    card = Card(RestorePoint("one", 1.0, "r", "x.bak", "compared", 3), "guid")
    assert points.known("one") is None
    points.keep(card)
    assert points.known("one") == points.newest() == card
    points.card("two").write_text("{")
    assert points.known("two") is None
    with pytest.raises(RestorePointFailed, match="name of a restore point"):
        points.card("../one")


# TLS ---------------------------------------------------------------------------------------------------------


def certificate(common: str, *names: x509.GeneralName) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(day).not_valid_after(day + dt.timedelta(days=1))
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(key, hashes.SHA256())


def test_whose_certificate_it_is() -> None:
    named = certificate("old.example", x509.DNSName("db-1.example"), x509.DNSName("*.pool.example"))
    assert is_for(named, "DB-1.example")
    assert is_for(named, "a.pool.example")
    assert not is_for(named, "a.b.pool.example")
    assert not is_for(named, "pool.example")
    assert not is_for(named, "old.example")  # the common name counts only where there is no other
    assert is_for(certificate("old.example"), "old.example")
    import ipaddress

    assert is_for(certificate("x", x509.IPAddress(ipaddress.ip_address("10.0.0.7"))), "10.0.0.7")
    assert not is_for(certificate("10.0.0.8", x509.DNSName("10.0.0.7")), "10.0.0.7")
