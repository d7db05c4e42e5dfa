"""One login per version (`shop_{version}`): taken away when the version is retired, given back before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from changeover.core.errors import DatabaseDenied, LoginMissing
from changeover.core.model import Version
from changeover.drivers.databases.limits import Pace, Wanted
from changeover.drivers.databases.sqlserver_apply import Acting
from changeover.drivers.databases.sqlserver_claim import SEES_SESSIONS, kill_sql
from changeover.drivers.databases.sqlserver_errors import Doing, translated
from changeover.drivers.databases.sqlserver_faults import Refused
from changeover.drivers.databases.sqlserver_session import Connection
from changeover.drivers.databases.sqlserver_text import quoted

_GONE_WITHIN = 10.0  # seconds for ended connections to be gone
_GONE_ALREADY = 6106

LOGIN = "SELECT COUNT(*) FROM sys.server_principals WHERE name = @login AND type IN ('S', 'U', 'E');"
CONTAINED = (
    "SELECT COUNT(*) FROM sys.database_principals WHERE name = @login AND type IN ('S', 'U', 'E') "
    "AND authentication_type IN (2, 4);"  # by a password in the database, or by an outside directory
)
CONNECTED = (
    "SELECT session_id FROM sys.dm_exec_sessions WHERE is_user_process = 1 AND session_id <> @@SPID "
    "AND @login IN (original_login_name, login_name);"
)


@dataclass(frozen=True, slots=True)
class Logins:
    """`pattern` has the placeholder {version}."""

    pattern: str

    def login(self, version: Version) -> str:
        return self.pattern.replace("{version}", version.text)

    def retire(self, version: Version, acting: Acting) -> int:
        """Disable the login, end its connections; how many are left. A transaction that rolls back counts as one."""
        login = self.login(version)
        self._alter(version, acting, "DISABLE")
        with (
            translated(acting.sessions, Doing(f"retiring {login}", now=f"{login} cannot log in any more.")),
            acting.sessions.session(acting.owner.fence) as db,
        ):
            if db.number(SEES_SESSIONS) != 1:
                raise DatabaseDenied(
                    f"retiring {login}: this login may not see sessions, so it cannot tell that none is left",
                    now=f"{login} cannot log in any more; what is connected stays connected.",
                    next=(
                        "changeover doctor --grants    (GRANT VIEW SERVER STATE is one of them)",
                        "changeover resume",
                    ),
                )
            pace = Pace()
            until = pace.now() + _GONE_WITHIN
            left = db.execute(CONNECTED, {"login": login})
            while left and pace.now() < until:
                acting.fence.check()
                for (session,) in left:
                    _kill(db, session, login)
                pace.sleep(0.02)
                left = db.execute(CONNECTED, {"login": login})
            return len(left)

    def admit(self, version: Version, acting: Acting) -> None:
        """Give the login back."""
        self._alter(version, acting, "ENABLE")

    def _alter(self, version: Version, acting: Acting, can: str) -> None:
        login = self.login(version)

        def act(db: Connection, _: object) -> None:
            there = db.number(LOGIN, {"login": login}) > 0
            name = quoted(login)
            if not there and db.number(CONTAINED, {"login": login}) == 0:
                raise LoginMissing(
                    f"there is no login {login} in the database, so v{version} must be using another one",
                    next=(f"CREATE LOGIN {name} …; CREATE USER {name}    and give it to the instances of v{version}",),
                )
            for sql in alter_sql(login, can, contained=not there):
                db.execute(sql)

        acting.write(Wanted(f"login {login}: {can}"), act)


def alter_sql(login: str, can: str, *, contained: bool) -> Sequence[str]:
    """DISABLE or ENABLE. A user without a login is kept out of its database instead."""
    name = quoted(login)
    if not contained:
        return (f"ALTER LOGIN {name} {can};",)
    if can == "DISABLE":
        return (f"DENY CONNECT TO {name};",)
    return (f"REVOKE CONNECT FROM {name};", f"GRANT CONNECT TO {name};")


def _kill(db: Connection, session: int, login: str) -> None:
    try:
        db.execute(kill_sql(session, login=login))
    except Refused as refused:
        if refused.number != _GONE_ALREADY:
            raise
