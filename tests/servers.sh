#!/bin/sh
# What the tests need beside Python. With root and apt it is installed; without, the missing parts are named and their tests
# are skipped, loudly.
set -u
missing=""
command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -x /usr/sbin/mariadbd ] || command -v mariadbd >/dev/null 2>&1 || missing="$missing mariadb-server"
command -v socat >/dev/null 2>&1 || missing="$missing socat"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
command -v sqlite3 >/dev/null 2>&1 || missing="$missing sqlite3"
command -v bsqldb >/dev/null 2>&1 || missing="$missing freetds-bin"
command -v caddy >/dev/null 2>&1 || missing="$missing caddy"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
  echo "could not install:$missing" >&2
  [ -n "${CHANGEOVER_REQUIRE_SERVERS:-}" ] && exit 1
  exit 0
fi
echo "not installed, their tests are skipped:$missing   (as root: apt-get install$missing)" >&2
[ -n "${CHANGEOVER_REQUIRE_SERVERS:-}" ] && exit 1
exit 0
