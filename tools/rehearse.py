"""Dress rehearsal of the gpu scale on a CPU: python tools/rehearse.py [NOTEBOOK …] [--record]

Each notebook runs with the gpu column's networks, data and code, but training stops after two
steps of a small batch, and samplers carry few samples, exact ones over few steps, and repeat them.
What that cost is scaled up to the full size and summed: floating-point operations and peak memory,
from which follow the times that the notebooks state. What is not cut (pictures, statistics) runs in
full, on the CPU.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fewstep import _cost

ROOT = Path(__file__).resolve().parent.parent
STEPS, ROWS, SMALL = 2, 4, 64


@dataclass
class Bill:
    """What a notebook costs at full size: operations in float32 and float64, bytes at the peak,
    and seconds on the CPU for all that was not cut.  stand_ins: sets that were not at hand, for
    which random pictures of the same shape and number stood in.
    """

    single: float = 0.0
    double: float = 0.0
    memory: float = 0.0
    training_steps: int = 0
    network_calls: int = 0
    seconds: float = 0.0
    stand_ins: str = ""

    def minutes(self, device: str) -> float:
        """Computed time on a GPU, of the networks and of the rest as it ran here."""
        return _cost.minutes(device, self.single, self.double)


def rehearse(path: Path) -> Bill:
    """Run one notebook in this process, cut short, and say what it would cost."""
    import torch

    from fewstep import data, denoisers, metrics, sampling, solvers, training

    bill = Bill()
    cut = [0.0]  # seconds spent in what was cut short
    run, sample, features = training.run, solvers.sample, metrics.features
    of_data_set = denoisers.DataSet.__call__

    def timed(function: Callable) -> Callable:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            start, before = time.perf_counter(), cut[0]
            try:
                return function(*arguments, **options)
            finally:  # what it called and is cut too lies within
                cut[0] = before + time.perf_counter() - start

        return wrapped

    def two_steps(learner: Any, data: Any, *, steps: int, batch_size: int, **rest: Any) -> Any:
        rows = min(batch_size, ROWS)
        weights = [p for m in learner.modules.values() for p in m.parameters()]
        x = data if isinstance(data, torch.Tensor) else data.x
        with _cost.counted() as operations, _cost.kept(weights) as kept:
            history = run(learner, data, steps=min(steps, STEPS), batch_size=rows, **rest)
        bill.single += operations[0] / (min(steps, STEPS) * rows) * steps * batch_size
        bill.training_steps += steps
        trained = sum(p.nbytes for p in weights if p.requires_grad)
        averages = sum(p.nbytes for m in learner.averages.values() for p in m.parameters())
        state = sum(p.nbytes for p in weights) + 3 * trained + averages  # gradient, Adam's two
        bill.memory = max(bill.memory, kept[0] / rows * batch_size + state + x.nbytes)
        fill = lambda v: torch.cat([v, v[-1:].expand(steps - len(v))])
        return replace(history, losses={name: fill(v) for name, v in history.losses.items()})

    def few_samples(denoiser: Any, x: Any, sigmas: Any, *arguments: Any, **options: Any) -> Any:
        network = isinstance(getattr(denoiser, "denoiser", denoiser), torch.nn.Module)
        n, per_call = len(x), [0.0]
        rows = n if network and n <= SMALL else min(n, ROWS)  # a notebook may check a small set

        def watched(x: Any, sigma: Any) -> Any:
            if per_call[0]:
                return few(x, sigma)
            with _cost.counted() as operations:
                D = few(x, sigma)
            per_call[0] = operations[0] / len(x)
            return D

        few, few_x = denoiser, x[:rows]
        if getattr(denoiser, "labels", None) is not None and denoiser.labels.ndim:
            few = replace(denoiser, labels=denoiser.labels[:rows])
        calls_each = getattr(denoiser, "calls", 1)
        watched.calls = calls_each  # type: ignore[attr-defined]
        if isinstance(options.get("generator"), list):
            options["generator"] = options["generator"][:rows]
        steps = len(sigmas) - 1
        kept = 8 + steps.bit_length()  # more for more: a notebook may compare their errors
        if steps > 2 * kept and not network:
            # Calls grow by the same number with each step, so two short grids give that of all.
            grids = [sigmas[torch.linspace(0, steps, k + 1).long()] for k in (kept - 1, kept)]
            short, out = (sample(watched, few_x, grid, *arguments, **options) for grid in grids)
            path = out.trajectory
            if path is not None:
                path = path[torch.arange(steps + 1) * kept // steps]
            nfe = out.nfe + (steps - kept) * (out.nfe - short.nfe)
            out = replace(out, nfe=nfe, trajectory=path)
        else:
            out = sample(watched, few_x, sigmas, *arguments, **options)
        calls = out.nfe // calls_each
        if network:
            bill.single += per_call[0] * calls * n
            bill.network_calls += out.nfe * n
        else:
            bill.double += per_call[0] * calls * n
        again = torch.arange(n) % len(few_x)
        path = None if out.trajectory is None else out.trajectory[:, again]
        return replace(out, x=out.x[again], trajectory=path)

    def few_rows(self: Any, x: Any, sigma: Any) -> Any:
        """The exact denoiser of a data set, on a few of its inputs."""
        if len(x) <= SMALL:
            return of_data_set(self, x, sigma)
        each = isinstance(sigma, torch.Tensor) and sigma.ndim == 1 and len(sigma) == len(x)
        with _cost.counted() as operations:
            D = of_data_set(self, x[:SMALL], sigma[:SMALL] if each else sigma)
        bill.double += operations[0] / SMALL * len(x)
        return D[torch.arange(len(x)) % SMALL]

    def some_features(images: Any, extractor: Any, *arguments: Any, **options: Any) -> Any:
        with _cost.counted() as operations:
            features(
                images[:ROWS] if isinstance(images, torch.Tensor) else images.x[:ROWS], extractor
            )
        bill.single += operations[0] / ROWS * len(images)
        return features(images, extractor, *arguments, **options)

    def at_hand(load: Callable, shape: tuple[int, ...], train: int, test: int) -> Callable:
        def loaded(split: str = "train", *arguments: Any) -> Any:
            try:
                return load(split, *arguments)
            except (RuntimeError, OSError):  # what a download that fails raises
                n = train if split == "train" else test
                x = torch.randint(256, (n, *shape), dtype=torch.uint8)
                bill.stand_ins = ", ".join({*bill.stand_ins.split(", "), load.__name__} - {""})
                return data.Images(x, torch.arange(n) % 10, tuple("0123456789"), load.__name__)

        return loaded

    data.fashion_mnist = at_hand(data.fashion_mnist, (1, 28, 28), 60_000, 10_000)
    data.cifar10 = at_hand(data.cifar10, (3, 32, 32), 50_000, 10_000)
    training.run = timed(two_steps)  # type: ignore[assignment]
    solvers.sample = sampling.sample = timed(few_samples)  # type: ignore[assignment]
    metrics.features = some_features
    denoisers.DataSet.__call__ = timed(few_rows)  # type: ignore[method-assign]
    cells = json.loads(path.read_text("utf-8"))["cells"]
    code = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    start = time.perf_counter()
    exec(compile(code, str(path), "exec"), {"__name__": "__main__"})
    bill.seconds = time.perf_counter() - start - cut[0]
    return bill


def row(path: Path, bill: Bill) -> dict[str, Any]:
    """What the table says of a notebook."""
    return {
        "notebook": path.stem,
        "training steps": bill.training_steps,
        "network calls": bill.network_calls,
        "TFLOP (float32)": bill.single / 1e12,
        "TFLOP (float64)": bill.double / 1e12,
        "peak memory, GiB": bill.memory / 2**30,
        **{f"minutes on a {device}": bill.minutes(device) for device in _cost.DEVICES},
        "seconds of the rest, here": bill.seconds,
        "stand-ins": bill.stand_ins or None,
    }


def main() -> int:
    """Rehearse the notebooks named, each in a process of its own; print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    parser.add_argument("--record", action="store_true", help="write results/rehearsal.json")
    parser.add_argument("--alone", action="store_true", help="in this process; prints JSON")
    chosen = parser.parse_args()
    paths = chosen.notebooks or sorted((ROOT / "notebooks").glob("*.ipynb"))
    if chosen.alone:
        print("\n" + json.dumps(asdict(rehearse(paths[0]))))
        return 0
    from fewstep import results

    rows = []
    environment = {
        **os.environ,
        "FEWSTEP_SCALE": "gpu",
        "CUDA_VISIBLE_DEVICES": "",
        "MPLBACKEND": "Agg",
    }

    def one(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, __file__, "--alone", str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        print(f"{path.stem}: done", flush=True)
        return done

    with ThreadPoolExecutor(2) as pool:
        for path, done in zip(paths, pool.map(one, paths)):
            if done.returncode != 0:
                print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
                return 1
            rows.append(row(path, Bill(**json.loads(done.stdout.splitlines()[-1]))))
    print(results.table(rows))
    if chosen.record:
        settings = {
            "steps": STEPS,
            "rows": ROWS,
            "devices": _cost.DEVICES,
            "share of peak": _cost.SHARE,
        }
        print(results.record("rehearsal", rows, settings=settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
