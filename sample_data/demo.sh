#!/usr/bin/env bash
# A whole training on the sample data: four parties and the registry, a process each. Run it with `make demo`.
set -euo pipefail
export LC_ALL=C
samples=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
# Whatever happens: nothing goes on, and nothing stays.
trap end EXIT
trap 'exit 130' INT TERM HUP
cd "$work"
cp "$samples"/model.npz "$samples"/train.py "$samples"/party-*.data.npz .
# Every process is small: one thread each is the fastest where they share a few cores.
export OPENBLAS_NUM_THREADS=1
declare -A running # the process of each member

end() {
  kill "${running[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}

say() { printf '\n# %s\n' "$*"; }

# Show a command and run it.
run() {
  printf '$ %s\n' "$*"
  "$@"
}

# Show a member's command, and run it beside the others. Shown is what the registry says; the rest is in NAME.log.
begin() {
  printf '$ %s &\n' "$2"
  if [ "$1" = registry ]; then
    bash -c "exec $2" 2> >(grep -v 'waiting for' >&2) &
  else
    bash -c "exec $2" 2>>"$1.log" &
  fi
  running[$1]=$!
}

party() {
  begin "party-$1" "hecli run shared --identity party-$1.id --train 'python train.py party-$1.data.npz' --accept \$digest"
}

# Wait until a file is there, as long as the registry goes on, and not for ever.
until_there() {
  until [ -e "$1" ]; do
    kill -0 "${running[registry]}" 2>/dev/null || [ -e "$1" ] || fail "the registry's process ended early"
    [ "$SECONDS" -lt 300 ] || fail "$1 is not there after 300 s"
    sleep 0.05
  done
}

fail() {
  echo "error: $1" >&2
  tail -n 3 party-*.log >&2
  exit 1
}

say "The registry coordinates and holds the key. Everybody has an identity, and
# gives everyone its card."
run hecli keygen
for name in registry party-1 party-2 party-3 party-4; do
  run hecli keygen -q --identity "$name"
done

say "The registry begins a training in the shared folder. Nothing but this folder
# connects the members."
run hecli start shared --model model.npz --party party-*.card --key hecli.pub --identity registry.id \
  --rounds 10 --max-weight 500 --metric loss=10 --metric accuracy=1 --deadline 6s

say "Its process plans, aggregates and opens."
begin registry "hecli run shared --identity registry.id --key hecli.key"

say "Three parties accept the terms, whose digest the registry read out over the
# telephone, and train. The fourth is away: after the deadline the first round
# goes on without it."
export digest
digest=$(hecli inspect shared/training.hecli --json | sed -n 's/^    "digest": "\(.*\)".*/\1/p')
echo "$ digest=$digest"
for number in 1 2 3; do
  party "$number"
done
until_there shared/round-0002/round.plan

say "The fourth comes, and takes part from now on."
party 4
until_there shared/round-0005/round.plan

say "Somebody pulls the plug of the second party, in the middle of a round."
disown "${running[party-2]}"
run kill -9 "${running[party-2]}"
sleep 1
say "It is switched on again, and goes on where it was."
party 2

until_there registry.run/round-0010/applied.json
for name in "${!running[@]}"; do
  wait "${running[$name]}" || fail "the process of $name failed"
done

say "How it went. The metrics were encrypted too: only their means are known."
run hecli status shared

say "What came out."
"${PYTHON:-python}" "$samples/score.py" .
