"""One login per version (`shop_{version}`): taken away when the version is retired, given back before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from changeover.core.errors import LoginMissing
from changeover.core.model import Version
from changeover.drivers.databases.limits import Pace, Wanted
from changeover.drivers.databases.postgresql_apply import Acting
from changeover.drivers.databases.postgresql_errors import Doing, translated
from changeover.drivers.databases.postgresql_session import Connection

_GONE_WITHIN = 10.0  # seconds for ended connections to be gone
_LEFT = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE usename = %(role)s)
     + (SELECT count(*) FROM pg_prepared_xacts WHERE owner = %(role)s)
"""


@dataclass(frozen=True, slots=True)
class Logins:
    """`pattern` has the placeholder {version}."""

    pattern: str

    def role(self, version: Version) -> str:
        return self.pattern.replace("{version}", version.text)

    def retire(self, version: Version, acting: Acting) -> int:
        """Revoke the login, end its connections; how many connections and prepared transactions are left."""
        role = self.role(version)
        self._alter(version, acting, "NOLOGIN")
        with (
            translated(acting.sessions, Doing(f"retiring {role}", now=f"{role} cannot log in any more.")),
            acting.sessions.session(acting.owner.fence, timeout=_GONE_WITHIN) as db,
        ):
            pace = Pace()
            until = pace.now() + _GONE_WITHIN
            left = _left(db, role)
            while left and pace.now() < until:
                acting.fence.check()
                db.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND pid <> pg_backend_pid()",
                    (role,),
                )
                pace.sleep(0.02)
                left = _left(db, role)
            return left

    def admit(self, version: Version, acting: Acting) -> None:
        """Give the login back."""
        self._alter(version, acting, "LOGIN")

    def _alter(self, version: Version, acting: Acting, can: str) -> None:
        role = self.role(version)

        def act(db: Connection, _: object) -> None:
            if db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
                raise LoginMissing(
                    f"there is no login {role} in the database, so v{version} must be using another one",
                    next=(f'CREATE ROLE "{role}" LOGIN PASSWORD …    and give it to the instances of v{version}',),
                )
            db.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(role), sql.SQL(can)))

        acting.write(Wanted(f"login {role}: {can}"), act)


def _left(db: Connection, role: str) -> int:
    row = db.execute(_LEFT, {"role": role}).fetchone()
    if row is None:
        raise psycopg.InterfaceError("no answer to a count")
    return int(row[0])
