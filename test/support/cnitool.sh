# shellcheck shell=bash disable=SC2154  # cases.sh sets work and errors
# Sourced by the tests of cnitool, after cases.sh: plugins that only write down how they were called, and networks of them.

# fake TYPE...: makes plugins in $work/bin, which CNI_PATH then names. Each writes "COMMAND TYPE IFNAME ID ARGS PREVIOUS" to
# $work/calls for each call but VERSION. What it then does, files in $work decide: fail-COMMAND-TYPE is printed before exit 1;
# sleep-COMMAND-TYPE makes it sleep; say-TYPE is printed on stderr; versions-TYPE is the answer to VERSION.
fake() {
  local type
  mkdir -p "$work/bin" "$work/networks"
  for type; do
    cat >"$work/bin/$type" <<'PLUGIN'
#!/bin/bash
work=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/..
type=$(basename "$0")
if [[ $CNI_COMMAND == VERSION ]]; then
  cat "$work/versions-$type" 2>/dev/null ||
    echo '{"cniVersion": "1.1.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]}'
  exit 0
fi
config=$(cat)
printf '%s\n' "$config" >"$work/config-$type"
echo "$CNI_COMMAND $type $CNI_IFNAME $CNI_CONTAINERID ${CNI_ARGS:--} $(jq -r '.prevResult.made // "-"' <<<"$config")" >>"$work/calls"
if [[ -e $work/say-$type ]]; then cat "$work/say-$type" >&2; fi
if [[ -e $work/sleep-$CNI_COMMAND-$type ]]; then
  # Its child would outlive it, were it not for the process group.
  sleep 600 &
  echo "$$ $!" >"$work/asleep"
  wait
fi
if [[ -e $work/fail-$CNI_COMMAND-$type ]]; then
  cat "$work/fail-$CNI_COMMAND-$type"
  exit 1
fi
if [[ $CNI_COMMAND == ADD ]]; then
  jq --arg type "$type" '{cniVersion: .cniVersion, ips: [{address: "10.0.0.2/24"}],
    made: ((.prevResult.made // "") + $type)}' <<<"$config"
fi
PLUGIN
    chmod +x "$work/bin/$type"
  done
  export CNI_PATH=$work/bin NETCONFPATH=$work/networks
}

# network NAME VERSION TYPE...: a list of these plugins.
network() {
  local name=$1 version=$2
  shift 2
  printf '%s\n' "$@" | jq -Rn --arg name "$name" --arg version "$version" \
    '{name: $name, cniVersion: $version, plugins: [inputs | {type: .}]}' >"$work/networks/$name.conflist"
}

calls() { if [[ -e $work/calls ]]; then cat "$work/calls"; fi; }

# cni ARGUMENT...: cnitool; its stdout goes to $work/out, its stderr to $errors, its exit status to $status.
cni() {
  status=0
  "$CNITOOL" "$@" >"$work/out" 2>"$errors" </dev/null || status=$?
}

# succeeds ARGUMENT...: without a word on stderr.
succeeds() {
  cni "$@"
  expect_equal "status of cnitool $*; stderr: $(<"$errors")" 0 "$status"
  expect_equal "stderr of cnitool $*" "" "$(<"$errors")"
}

# fails TEXT ARGUMENT...: with exit status 1, nothing on stdout, and one line on stderr that contains the text.
fails() {
  local text=$1
  shift
  cni "$@"
  expect_equal "status of cnitool $*" 1 "$status"
  expect_equal "stdout of cnitool $*" "" "$(<"$work/out")"
  expect_contains "stderr of cnitool $*" "$(<"$errors")" "$text"
  expect_equal "lines on stderr of cnitool $*: $(<"$errors")" 1 "$(wc -l <"$errors")"
}

# document FILTER: what jq makes of the one line of JSON that was printed.
document() {
  expect_equal "lines of JSON" 1 "$(wc -l <"$work/out")"
  jq -r "$1" "$work/out" || fail "no JSON: $(<"$work/out")"
}

# at_terminal INPUT ARGUMENT...: as cni, but on a terminal of its own, of which both outputs go to $work/out.
at_terminal() {
  local input=$1
  shift
  status=0
  # cnitool asks before it reads; the terminal shows the answer too.
  (sleep 0.5; printf '%s' "$input"; sleep 0.5) |
    script --quiet --return --echo never --command "$(printf '%q ' "$CNITOOL" "$@")" "$work/script" >/dev/null || status=$?
  tr -d '\r' <"$work/script" | sed '1d; $d' >"$work/out"
}
