#!/usr/bin/env bash
# Installs, on a Debian-like machine and as root, the servers and clients that the tests use when they are there:
# a Redis-compatible server, nginx, zstd and Chromium (apt), nats-server and versitygw (go), the Python clients (pip, in a venv),
# and the oldest anaconda client that can be had, which cannot share its libraries with today's (pip, in a venv of its own).
# They land on PATH, in $cache/bin, in $cache/venv/bin and in $cache/venv-older/bin, which is where tests look.
# A step whose inputs have not changed and whose result is still there is skipped, so a second run takes no time.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${VIVARIUM_CACHE:-$HOME/.cache/vivarium}
logs=$cache/logs
nats_server=github.com/nats-io/nats-server/v2@v2.14.5
versitygw=github.com/versity/versitygw/cmd/versitygw@v1.7.0
requirements=$here/requirements.txt
older_requirements=$here/requirements-older.txt

main() {
  mkdir -p "$cache/bin" "$cache/stamps" "$logs"
  # Two runs at once would install into each other's half-made folders.
  exec 9>"$cache/install.lock"
  flock 9

  local failed=0 packages lanes=()
  packages=$(missing_packages)
  # Without python3-venv the Python lane would fail, so it waits for apt then; otherwise all lanes run at once.
  if [[ $packages == *python3* ]]; then
    step "apt" "$packages" "" install_packages "$packages" || failed=1
    packages=""
  fi
  if [[ -n $packages ]]; then
    step "apt" "$packages" "" install_packages "$packages" &
    lanes+=($!)
  else
    echo "apt: already there"
  fi
  {
    step "python clients" "$(cat "$requirements"; python3 --version)" "$cache/venv/bin/twine" \
      install_venv "$cache/venv" "$requirements"
  } &
  lanes+=($!)
  {
    step "older client" "$(cat "$older_requirements"; python3 --version)" "$cache/venv-older/bin/anaconda" \
      install_venv "$cache/venv-older" "$older_requirements"
  } &
  lanes+=($!)
  # One compiler at a time: two cores are one Go build.
  {
    step "nats-server" "$nats_server" "$cache/bin/nats-server" go_install "$nats_server" &&
      step "versitygw" "$versitygw" "$cache/bin/versitygw" go_install "$versitygw"
  } &
  lanes+=($!)

  local lane
  for lane in "${lanes[@]}"; do wait "$lane" || failed=1; done
  return $failed
}

# step NAME INPUTS RESULT COMMAND…: runs the command unless its stamp matches the inputs and the result exists.
step() {
  local name=$1 inputs=$2 result=$3 started=$SECONDS hash stamp log
  shift 3
  hash=$(printf '%s\n%s\n%s' "$name" "$inputs" "$(declare -f "$1")" | sha256sum | cut -c1-16)
  stamp=$cache/stamps/${name// /-}
  log=$logs/${name// /-}.log
  if [[ -n $result && -e $result && $(cat "$stamp" 2>/dev/null) == "$hash" ]]; then
    echo "$name: already there"
    return 0
  fi
  # Once more after a pause: a registry that hiccups is the usual reason for a failure.
  if "$@" >"$log" 2>&1 || { sleep 3 && "$@" >>"$log" 2>&1; }; then
    echo "$hash" >"$stamp"
    echo "$name: installed in $((SECONDS - started)) s"
  else
    echo "$name: FAILED after $((SECONDS - started)) s; the end of $log:" >&2
    tail -n 20 "$log" >&2
    return 1
  fi
}

# What apt has to bring, found by looking for the programs: a kept cache folder says nothing about a new machine.
missing_packages() {
  local packages=()
  has redis-server || has valkey-server || packages+=(redis)
  has nginx || packages+=(nginx-light)
  has zstd || packages+=(zstd)
  has bzip2 || packages+=(bzip2)
  has chromium || packages+=(chromium)
  python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3 python3-venv)
  echo "${packages[*]}"
}

has() {
  PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  local packages=$1
  apt-get update -qq
  if [[ $packages == *redis* ]]; then
    # Valkey where the distribution has it, else the last Redis with the same protocol.
    local server=redis-server
    if apt-cache show valkey-server >/dev/null 2>&1; then server=valkey-server; fi
    packages=${packages/redis/$server}
  fi
  forbid_services
  # shellcheck disable=SC2086 # a list of package names
  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 $packages
  local code=$?
  allow_services
  return $code
}

# Tests start servers of their own; one that apt starts would hold the port and outlive us.
forbid_services() {
  [[ -e /usr/sbin/policy-rc.d ]] && return 0
  printf '#!/bin/sh\n# vivarium: no services while installing\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
}

allow_services() {
  if grep -qs '^# vivarium:' /usr/sbin/policy-rc.d; then rm -f /usr/sbin/policy-rc.d; fi
}

# install_venv FOLDER REQUIREMENTS
install_venv() {
  python3 -m venv --clear "$1" &&
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2" &&
    "$1/bin/python" -m pip check
}

go_install() {
  local go
  go=$(command -v go || echo /usr/local/go/bin/go)
  if [[ ! -x $go ]]; then
    echo "go is not installed: put Go 1.25 or newer on PATH, or the program itself into $cache/bin"
    return 1
  fi
  GOBIN=$cache/bin CGO_ENABLED=0 "$go" install -trimpath -ldflags='-s -w' "$1"
}

trap allow_services EXIT
main "$@"
