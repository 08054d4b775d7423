"""The end of the demo: how well each model reads digits, and what encryption changed."""

import json
import sys
from pathlib import Path

import numpy as np
from train import Model, load, scaled, trained

from hecli import Plan, read_plan
from hecli.formats.tensors.arrays import to_arrays
from hecli.formats.tensors.files import open_tensors
from hecli.plan.costs import error_bound

SAMPLES = Path(__file__).parent
PARTIES = (1, 2, 3, 4)


def accuracy(model: Model) -> float:
    """The share of the held-out images that the model reads correctly."""
    test = load(SAMPLES / "test.npz")
    hidden = np.maximum(scaled(test["images"]) @ model["hidden.weight"] + model["hidden.bias"], 0)
    scores = hidden @ model["output.weight"] + model["output.bias"]
    return float((scores.argmax(axis=1) == test["labels"]).mean())


def alone(model: Model, party: int, rounds: int) -> Model:
    """The model after as many passes over one party's images, and nobody else's."""
    data = load(SAMPLES / f"party-{party}.data.npz")
    return trained(model, scaled(data["images"]), data["labels"], np.random.default_rng(party), rounds)


def sent(own: Path) -> tuple[Model, int]:
    """The update and the weight that a party sent, which it alone has in the clear."""
    with (own / "update.tensors").open("rb") as stream:
        update = to_arrays(open_tensors(stream, stream.name))
    return update, json.loads((own / "update.json").read_text())["weight"]


def mean(updates: list[Model], weights: list[int], name: str) -> np.ndarray:
    """The weighted mean of a tensor."""
    return np.average([update[name] for update in updates], axis=0, weights=weights)


def clipped(updates: list[Model], weights: list[int], plan: Plan) -> list[Model]:
    """The updates without what is beyond the plan's range, which no party sends."""
    quantise = plan.codec.quantise
    ranges = {
        spec.name: quantise.qmax * step for spec, step in zip(plan.tensors, quantise.steps, strict=True)
    }
    limits = [{name: size * plan.max_weight / weight for name, size in ranges.items()} for weight in weights]
    return [
        {name: np.clip(value, -most[name], most[name]) for name, value in update.items()}
        for update, most in zip(updates, limits, strict=True)
    ]


def main() -> int:
    """Print the tables; fail if encryption changes more than it may, or if a party alone does as well."""
    work = Path(sys.argv[1])
    initial = load(SAMPLES / "model.npz")
    own = work / "registry.run"
    rounds = sorted(path.parent for path in own.glob("round-*/applied.json"))
    plain = {name: value.astype(np.float64) for name, value in initial.items()}
    unclipped = dict(plain)
    promised = {name: np.zeros(value.shape) for name, value in initial.items()}
    broken = []
    print("the encrypted models, beside plain FedAvg of the updates that the parties sent,")
    print("which are clipped at the ranges of the plans")
    print("round  parties  values clipped  largest difference  promised at most")
    for number, folder in enumerate(rounds, 1):
        applied = json.loads((folder / "applied.json").read_text())
        names = applied["contributors"]
        plan = read_plan(work / "shared" / folder.name / "round.plan")
        found = [sent(work / f"{name}.run" / folder.name) for name in names]
        updates, weights = [update for update, _ in found], [weight for _, weight in found]
        within = clipped(updates, weights, plan)
        encrypted = load(own / f"model-{number:04}.npz")
        index = {spec.name: at for at, spec in enumerate(plan.tensors)}
        differences = {}
        for name in initial:
            plain[name] = plain[name] + mean(within, weights, name)
            unclipped[name] = unclipped[name] + mean(updates, weights, name)
            # The bounds of all rounds so far add up; models are float32, which rounds them too.
            rounded = np.spacing(np.abs(encrypted[name]).astype(np.float32)) / 2
            promised[name] += error_bound(plan, index[name], float(np.mean(weights))) + rounded
            differences[name] = np.abs(encrypted[name] - plain[name])
        largest = max(float(each.max()) for each in differences.values())
        most = max(float(each.max()) for each in promised.values())
        print(f"{number:>5}  {len(names):>7}  {applied['clipped']:>14}  {largest:>18.2g}  {most:>16.2g}")
        broken += [number for name in initial if (differences[name] > promised[name]).any()]

    scores = [accuracy(alone(initial, party, len(rounds))) for party in PARTIES]
    together = accuracy(load(own / "model-last.npz"))
    print()
    print("test accuracy on 450 held-out images")
    print(f"  initial model       {accuracy(initial):6.1%}")
    for party, score in zip(PARTIES, scores, strict=True):
        print(f"  party {party} alone       {score:6.1%}")
    print(f"  plain FedAvg        {accuracy(unclipped):6.1%}")
    print(f"  encrypted           {together:6.1%}")
    if broken:
        print(f"error: round {broken[0]} differs by more than promised", file=sys.stderr)
        return 1
    if together <= max(scores):
        print("error: the encrypted training does not beat every party alone", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
