#!/bin/sh
# `npm test`: gets what is missing, then runs the checks and the tests under Node 24 (scripts/test.ts).
set -eu
root=$(CDPATH='' cd -- "${0%/*}/.." && pwd -P)
. "$root/scripts/setup.sh"
prepare_tests
cd -- "$root"
exec "$node" --disable-warning=ExperimentalWarning scripts/test.ts "$@"
