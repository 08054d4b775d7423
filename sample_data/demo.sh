#!/usr/bin/env bash
# One encrypted round on the sample data, command by command. Run it with `make demo`.
set -euo pipefail
export LC_ALL=C
samples=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$samples"/model.npz "$samples"/party-*.update.npz .

say() { printf '\n# %s\n' "$*"; }

# Show a command, run it, and note how long it took and how large its output (the first argument) is.
step() {
  local output=$1 start end
  shift
  printf '$ %s\n' "$*"
  start=$EPOCHREALTIME
  "$@"
  end=$EPOCHREALTIME
  local seconds=$(((${end/./} - ${start/./}) / 1000))
  printf '{"step": "%s", "bytes": %d, "seconds": %d.%03d}\n' \
    "$output" "$(stat -c %s "$output" 2>/dev/null || stat -f %z "$output")" $((seconds / 1000)) $((seconds % 1000)) >>steps.jsonl
}

say "The keyholder makes a key pair; everyone gets hecli.pub."
step hecli.key hecli keygen

say "Four parties agree on a plan: 16-bit values, at most four parties."
step round.plan hecli plan --like party-1.update.npz --parties 4 --name digits

say "Each party encrypts its own update, which it shows to nobody."
for party in 1 2 3 4; do
  step "party-$party.enc" hecli encrypt "party-$party.update.npz" --plan round.plan --party "party-$party" -o "party-$party.enc"
done

say "Anyone multiplies the encrypted files, without any key."
step round.agg hecli aggregate party-*.enc

say "The keyholder opens the sum, and only the sum."
step round.sum hecli decrypt round.agg

say "Everyone moves the model by the mean."
step model.next.npz hecli apply round.sum model.npz --rule add

say "What came out."
"${PYTHON:-python}" "$samples/score.py" .
