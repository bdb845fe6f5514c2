# shellcheck shell=bash
# Sourced by priv-net-run.sh and docker-run.sh: attaching for the time of one command.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# random_id: 32 hexadecimal digits.
random_id() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# Bridges made by these scripts, NAME containing the interface index, so that the last user of one can remove it.
made_bridges=/run/cni-made-bridges

# with_lock COMMAND...: keeps another run from removing a bridge between its creation and its first port. A signal may lead from
# inside it to the EXIT trap, which comes here again: the descriptor is then the same, and locking it twice is no harm.
lock=
with_lock() {
  local status=0
  install -d -m 0700 "$made_bridges"
  [[ -n $lock ]] || exec {lock}>"$made_bridges/.lock"
  flock "$lock"
  "$@" || status=$?
  flock -u "$lock"
  return "$status"
}

bridge_indexes() { ip -oneline link show type bridge | awk -F ': ' '{ print $2, $1 }'; }

# What attachments switch on for the whole host, and never off since others may rely on it: forwarding, and the nftables table for
# masquerading. Where it was these scripts, they take it back with the last of their attachments.
switches=(/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding)
masquerade_table=(inet cni_plugins_masquerade)
has_masquerade_table() { command -v nft >/dev/null && nft list table "${masquerade_table[@]}" >/dev/null 2>&1; }

link_names() { ip -oneline link show | awk -F '[:@] *' '{ print $2 }' | sort; }

# note_switches: called before the first attachment.
note_switches() {
  local switch
  [[ ! -e $made_bridges/.switches ]] || return 0
  {
    for switch in "${switches[@]}"; do
      if [[ -e $switch && $(<"$switch") == 0 ]]; then echo "$switch"; fi
    done
    if ! has_masquerade_table; then echo table; fi
  } >"$made_bridges/.switches"
  link_names >"$made_bridges/.links"
}

restore_switches() {
  local switch
  # Attachments of other runs go on.
  [[ -z $(ls -A "${CNI_RESULTS:-/run/cni-exec-plugins}" 2>/dev/null) ]] || return 0
  while read -r switch; do
    if [[ $switch != table ]]; then
      # With a link that came meanwhile somebody else may have come who needs it.
      [[ -n $(link_names | comm -13 "$made_bridges/.links" -) ]] || echo 0 >"$switch"
    elif has_masquerade_table && ! nft list table "${masquerade_table[@]}" | grep -q 'elements = '; then
      nft delete table "${masquerade_table[@]}"
    fi
  done < <(cat "$made_bridges/.switches" 2>/dev/null)
  rm -f "$made_bridges/.switches" "$made_bridges/.links"
}

# attach ID NETNS: the plugins' ADD for every network; on failure nothing is left.
attach() { with_lock attach_locked "$@"; }

attach_locked() {
  local status=0
  note_switches
  bridges_before=$(bridge_indexes) attaching=1
  "$project/scripts/exec-plugins.sh" add "$@" || status=$?
  note_bridges
  return "$status"
}

# note_bridges: notes those that came with an ADD. A signal may have kept attach from doing so.
attaching='' bridges_before=''
note_bridges() {
  local name index
  [[ -n $attaching ]] || return 0
  while read -r name index; do
    [[ -n $name ]] || continue
    grep -qxF "$name $index" <<<"$bridges_before" || echo "$index" >"$made_bridges/$name"
  done <<<"$(bridge_indexes)"
  attaching=''
}

# detach ID NETNS: the plugins' DEL, then the bridges that these scripts made and that have no port any more.
detach() { with_lock detach_locked "$@"; }

detach_locked() {
  local status=0 note name
  note_bridges
  # Without notes nothing is attached: it did not come to that, or add took it back.
  if [[ -e ${CNI_RESULTS:-/run/cni-exec-plugins}/$1 ]]; then
    "$project/scripts/exec-plugins.sh" del "$@" || status=$?
  fi
  for note in "$made_bridges"/*; do
    [[ -f $note ]] || continue
    name=$(basename "$note")
    # A bridge of another index is somebody else's, made after ours was gone.
    if bridge_indexes | grep -qxF "$name $(<"$note")"; then
      [[ -z $(ip -oneline link show master "$name") ]] || continue
      ip link delete "$name" || status=$?
    fi
    rm -f "$note"
  done
  restore_switches
  return "$status"
}

# stop_on_signals: a signal ends the script, by way of its EXIT trap. bash waits for the running program first.
stop_on_signals() {
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# run_interruptibly COMMAND...: runs it with this script's stdin, passes signals on, and returns its exit status. The command
# decides what a signal means for it; an interactive shell goes on after Ctrl-C.
run_interruptibly() {
  local child signalled status
  # While a program runs in the foreground bash leaves signals waiting, so it runs in the background and is waited for. The
  # shell gives background programs an empty stdin and makes them ignore SIGINT and SIGQUIT; both are set right.
  env --default-signal=INT,QUIT "$@" <&0 &
  child=$!
  trap 'signalled=1; kill -HUP "$child" 2>/dev/null || true' HUP
  trap 'signalled=1; kill -TERM "$child" 2>/dev/null || true' TERM
  # At a terminal Ctrl-C reaches the command without help.
  trap 'signalled=1; [[ -t 0 ]] || kill -INT "$child" 2>/dev/null || true' INT
  while :; do
    signalled='' status=0
    wait "$child" || status=$?
    # A signal to this script ends a wait early; the next one brings the command's own status.
    [[ -n $signalled ]] || break
  done
  stop_on_signals
  return "$status"
}
