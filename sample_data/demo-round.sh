#!/usr/bin/env bash
# One encrypted round on the sample data, command by command. Run it with `make demo-round`.
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

# Show a command and run it.
run() {
  printf '$ %s\n' "$*"
  "$@"
}

say "The registry coordinates and holds the key: a key pair, and an identity to sign with."
step hecli.key hecli keygen
run hecli keygen --identity registry

say "Every party makes an identity and gives everyone its card; fingerprints are read out over the telephone."
for party in 1 2 3 4; do
  run hecli keygen --identity "party-$party"
done

say "A ledger in the shared folder records what happens from here on."
run hecli ledger init ledger --identity registry.id
run export HECLI_LEDGER=ledger HECLI_COORDINATOR=registry.card HECLI_PLAN=round.plan

say "The plan: 16-bit values, and who takes part, signed."
step round.plan hecli plan --like party-1.update.npz --name digits \
  --party party-1.card --party party-2.card --party party-3.card --party party-4.card \
  --keyholder registry.card --identity registry.id

say "Each party encrypts its own update, which it shows to nobody, and signs it."
for party in 1 2 3 4; do
  step "party-$party.enc" hecli encrypt "party-$party.update.npz" --identity "party-$party.id" -o "party-$party.enc"
done

say "Somebody with access to the folder alters a byte of an update. It is noticed."
cp party-3.enc party-3.kept
printf 'x' | dd of=party-3.enc bs=1 seek=9000 conv=notrunc status=none
run hecli aggregate party-*.enc --identity party-2.id || echo "[exit status $?]"
mv party-3.kept party-3.enc

say "Anyone on the roster multiplies the encrypted files, without any key."
step round.agg hecli aggregate party-*.enc --identity party-2.id

say "Anyone checks the parties' proofs, makes the aggregate again, and compares."
run hecli verify round.agg --from party-*.enc

say "The registry does, too, with the updates beside it, before it opens the sum, and only the sum."
step round.sum hecli decrypt round.agg --identity registry.id

say "Anyone checks, without the key, that the sum is what the aggregate holds."
run hecli verify round.sum --from round.agg

say "Everyone moves the model by the mean."
step model.next.npz hecli apply round.sum model.npz --rule add --identity party-1.id

say "The ledger has it all, and the files are the recorded ones."
run hecli ledger show ledger
run hecli ledger verify ledger --files .

say "What came out."
"${PYTHON:-python}" "$samples/score_round.py" .
