"""One login per version (`shop_{version}`): locked when the version is retired, unlocked before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from changeover.core.errors import LoginMissing
from changeover.core.model import Version
from changeover.drivers.databases.limits import Pace, Wanted, until_locked
from changeover.drivers.databases.mysql_apply import Acting
from changeover.drivers.databases.mysql_errors import Doing, translated
from changeover.drivers.databases.mysql_ledger import has_ledger, ledger_on
from changeover.drivers.databases.mysql_lock import end
from changeover.drivers.databases.mysql_session import Connection

_GONE_WITHIN = 10.0  # seconds for ended connections to be gone
_ACCOUNTS = "SELECT user, host FROM mysql.user WHERE user = %s ORDER BY host"
_SESSIONS = "SELECT id FROM information_schema.processlist WHERE user = %s AND id <> CONNECTION_ID()"


@dataclass(frozen=True, slots=True)
class Logins:
    """`pattern` has the placeholder {version}."""

    pattern: str

    def login(self, version: Version) -> str:
        return self.pattern.replace("{version}", version.text)

    def retire(self, version: Version, acting: Acting) -> int:
        """Lock the login, end its connections; how many are left."""
        login = self.login(version)
        self._alter(version, acting, "LOCK")
        with (
            translated(acting.sessions, Doing(f"retiring {login}", now=f"{login} cannot log in any more.")),
            acting.sessions.session(acting.owner.fence, timeout=_GONE_WITHIN) as db,
        ):
            pace = Pace()
            until = pace.now() + _GONE_WITHIN
            left = _sessions(db, login)
            while left and pace.now() < until:
                acting.fence.check()
                for session in left:
                    end(db, session)
                pace.sleep(0.02)
                left = _sessions(db, login)
            return len(left)

    def admit(self, version: Version, acting: Acting) -> None:
        """Give the login back."""
        self._alter(version, acting, "UNLOCK")

    def _alter(self, version: Version, acting: Acting, how: str) -> None:
        """ALTER USER commits by itself, so the environment's lock fences it; done twice it is done once."""
        login = self.login(version)
        wanted = Wanted(f"login {login}: {how.lower()}")

        def attempt() -> None:
            with (
                acting.sessions.session(acting.owner.fence) as db,
                acting.lock.held(db, acting.owner, acting.limits.lock),
            ):
                acting.owner.must_hold(ledger_on(db).claims() if has_ledger(db) else (), time.time())
                accounts = db.execute(_ACCOUNTS, (login,))
                if not accounts:
                    raise LoginMissing(
                        f"there is no login {login} in the server, so v{version} must be using another one",
                        next=(
                            f"CREATE USER '{login}'@'%' IDENTIFIED BY …    and give it to the instances of v{version}",
                        ),
                    )
                acting.fence.check()
                for user, host in accounts:
                    db.execute(f"ALTER USER %s@%s ACCOUNT {how}", (user, host))

        with translated(acting.sessions, Doing(wanted.title)):
            until_locked(attempt, wanted, acting.limits, acting.fence)


def _sessions(db: Connection, login: str) -> list[int]:
    """Without the right to see them all, none would be seen: then the question itself is refused."""
    db.execute("SELECT COUNT(*) FROM information_schema.innodb_trx")
    return [int(session) for (session,) in db.execute(_SESSIONS, (login,))]
