#!/usr/bin/env bash
# Makes deploy/.env: a fresh random secret for every server of compose.yaml, readable by you alone. Never overwrites one.
set -euo pipefail
umask 077
cd "$(dirname "${BASH_SOURCE[0]}")"
if [[ -e .env ]]; then
  echo "deploy/.env exists and was kept: its secrets open the data that is already there." >&2
  exit 0
fi

# 48 hexadecimal digits behind a letter: NATS reads a password that begins with a digit as a number.
secret() {
  local digits
  digits=$(od -An -tx1 -N24 /dev/urandom | tr -d ' \n')
  [[ ${#digits} == 48 ]] || { echo "cannot read /dev/urandom" >&2; exit 1; }
  printf 's%s' "$digits"
}

cat >.env.new <<END
# Made by deploy/env.sh. Keep it: without VIVARIUM_SECRET and the passwords the data cannot be opened.
PUBLIC_URL=${PUBLIC_URL:-http://localhost:8080}
TRUSTED_PROXIES=${TRUSTED_PROXIES:-}
VIVARIUM_SECRET=$(secret)
VIVARIUM_ADMIN_PASSWORD=$(secret)
POSTGRES_PASSWORD=$(secret)
NATS_PASSWORD=$(secret)
REDIS_PASSWORD=$(secret)
S3_ACCESS_KEY_ID=$(secret | cut -c1-20)
S3_SECRET_ACCESS_KEY=$(secret)
END
mv .env.new .env
echo "Wrote deploy/.env. Next: docker compose -f deploy/compose.yaml up --wait"
echo "The administrator is admin; the password is VIVARIUM_ADMIN_PASSWORD in that file."
