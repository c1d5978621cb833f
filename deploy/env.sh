#!/usr/bin/env bash
# Makes deploy/.env: a fresh random secret for every server of compose.yaml, readable by you alone. Run again, it adds what a
# newer version needs and replaces nothing.
set -euo pipefail
umask 077
cd "$(dirname "${BASH_SOURCE[0]}")"

# 48 hexadecimal digits behind a letter: NATS reads a password that begins with a digit as a number.
secret() {
  local digits
  digits=$(od -An -tx1 -N24 /dev/urandom | tr -d ' \n')
  [[ ${#digits} == 48 ]] || { echo "cannot read /dev/urandom" >&2; exit 1; }
  printf 's%s' "$digits"
}

wanted() {
  cat <<END
PUBLIC_URL=${PUBLIC_URL:-http://localhost:8080}
TRUSTED_PROXIES=${TRUSTED_PROXIES:-}
VIVARIUM_SECRET=$(secret)
VIVARIUM_ADMIN_PASSWORD=$(secret)
POSTGRES_PASSWORD=$(secret)
NATS_PASSWORD_GATEWAY=$(secret)
NATS_PASSWORD_IDENTITY=$(secret)
NATS_PASSWORD_AUTHZ=$(secret)
NATS_PASSWORD_PACKAGES=$(secret)
NATS_PASSWORD_CONDA_INDEX=$(secret)
NATS_PASSWORD_PYPI_INDEX=$(secret)
NATS_PASSWORD_PLATFORM=$(secret)
REDIS_PASSWORD=$(secret)
S3_ACCESS_KEY_ID=$(secret | cut -c1-20)
S3_SECRET_ACCESS_KEY=$(secret)
END
}

trap 'rm -f .env.new' EXIT
if [[ -e .env ]]; then
  cat .env >.env.new
else
  echo "# Made by deploy/env.sh. Keep it: without VIVARIUM_SECRET and the passwords the data cannot be opened." >.env.new
fi
all=$(wanted)
added=()
while IFS= read -r line; do
  grep -q "^${line%%=*}=" .env.new && continue
  printf '%s\n' "$line" >>.env.new
  added+=("${line%%=*}")
done <<<"$all"

if [[ ${#added[@]} == 0 ]]; then
  echo "deploy/.env has all that is needed, and was kept: its secrets open the data that is already there." >&2
elif [[ -e .env ]]; then
  mv .env.new .env
  echo "Added to deploy/.env: ${added[*]}"
else
  mv .env.new .env
  echo "Wrote deploy/.env. Next: docker compose -f deploy/compose.yaml up --wait"
  echo "The administrator is admin; the password is VIVARIUM_ADMIN_PASSWORD in that file."
fi
