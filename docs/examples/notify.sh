#!/bin/sh
# Runs a command and tells someone if it failed. Needs smpchat, tail and iconv.
# Usage: notify.sh WHO COMMAND [ARGUMENT]...
who=$1
shift
output=$("$@" 2>&1)
code=$?
[ "$code" -eq 0 ] && exit 0

printf '%s failed with %s:\n%s\n' "$1" "$code" "$output" |
    tail -n 20 | tail -c 8000 | iconv -c -f UTF-8 -t UTF-8 |
    smpchat -q send "$who" - >/dev/null
told=$?
[ "$told" -eq 0 ] || [ "$told" -eq 3 ] || exit "$told" # 3: saved; the next smpchat online sends it
exit "$code"
