#!/usr/bin/env bash
# The round of demo-round.sh without a single keyholder: a key in shares, and masks that survive a dropout.
# Run it with `make demo-threshold`.
set -euo pipefail
export LC_ALL=C
samples=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$samples"/model.npz "$samples"/party-*.update.npz .

say() { printf '\n# %s\n' "$*"; }

# Show a command and run it.
run() {
  printf '$ %s\n' "$*"
  "$@"
}

say "Everybody has an identity. Four hospitals will hold a share of the key each."
for name in registry party-1 party-2 party-3 party-4; do
  run hecli keygen -q --identity "$name"
done

say "A dealer makes a key of which any three of four shares open; each is sealed to its holder's card."
run hecli keygen --threshold 3 --shares 4 --card party-1.card --card party-2.card \
  --card party-3.card --card party-4.card

say "The plan: masks on top, and one of the four may drop out."
run hecli plan --like party-1.update.npz --name digits --masks --dropouts 1 \
  --party party-1.card --party party-2.card --party party-3.card --party party-4.card --identity registry.id
export HECLI_PLAN=round.plan HECLI_COORDINATOR=registry.card

say "Before the round, all enroll."
for party in 1 2 3 4; do
  run hecli enroll --identity "party-$party.id"
done

say "Three encrypt. The fourth has disappeared."
for party in 1 2 3; do
  run hecli encrypt "party-$party.update.npz" --identity "party-$party.id" --enroll '*.enroll' -o "party-$party.enc"
done

say "Anyone multiplies what is there."
run hecli aggregate party-*.enc --identity party-1.id

say "Now that it is known who takes part, three answer, after checking everybody's proofs and making the aggregate again."
for party in 1 2 3; do
  run hecli answer round.agg --enroll '*.enroll' --identity "party-$party.id"
done

say "Three of the four share holders check the same, and make their partials."
for party in 1 2 4; do
  run hecli partial round.agg --share "hecli-$party.share" --identity "party-$party.id"
done

say "Two partials open nothing."
run hecli combine round.agg round-1.part round-2.part --enroll '*.enroll' --answers '*.ans' --identity party-2.id ||
  echo "[exit status $?]"

say "Three together open the sum, and the answers take the masks off."
run hecli combine round.agg round-1.part round-2.part round-4.part --enroll '*.enroll' --answers '*.ans' \
  --identity party-2.id

say "Anyone checks that the sum is what the aggregate holds."
run hecli verify round.sum --from round.agg round-1.part round-2.part round-4.part \
  --enroll '*.enroll' --answers '*.ans'

say "The model moves by the mean of the three."
run hecli apply round.sum model.npz --rule add
"${PYTHON:-python}" - "$samples" <<'PY'
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
from score import accuracy, load

model, moved = load("model.npz"), load("model.next.npz")
updates = [load(f"party-{party}.update.npz") for party in (1, 2, 3)]
plain = {name: model[name] + np.mean([update[name] for update in updates], axis=0) for name in model}
largest = max(float(np.abs(moved[name] - plain[name]).max()) for name in model)
print(f"test accuracy: {accuracy(model):.1%} before, {accuracy(moved):.1%} after")
print(f"largest difference from the plain average of the three: {largest:.2g}")
sys.exit(0 if accuracy(moved) > accuracy(model) and largest < 1e-3 else 1)
PY
