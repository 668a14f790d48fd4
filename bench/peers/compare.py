"""Our speed and memory against PyTorch's, taken in turns, and the machine's peaks of the same run.

    python bench/peers/compare.py --build build/release [--repeats 3] [--only step-smol,eval] [--json out.json]

Every turn runs our bench and torch_steps.py in processes of their own, A B A B; the tables have the medians
over the turns and the spread, (largest - smallest) / median. Needs torch and transformers in this Python.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}

# hidden, intermediate, keys and values, layers, vocabulary; tokens of a step. Queries: hidden.
SHAPES = {"smol": (576, 1536, 192, 30, 49152, 512), "tiny": (256, 688, 128, 6, 4096, 2048),
          "quickstart": (256, 640, 128, 4, 2048, 2048)}
HEAD_CHUNK = 192  # tokens


def step_item(model, batch, length, torch_repeats):
    def ours(kind, threads):
        return "step_bench", f"step/{model}_{kind}/batch:{batch}/T:{length}/threads:{threads}/"

    return {"what": f"step, {model}, {batch} x {length}", "model": model, "ours": ours("distil", 2),
            "torch": ["step", model, batch, length, torch_repeats],
            "labels": ours("labels", 2), "one thread": ours("distil", 1)}


ITEMS = {
    "step-smol": step_item("smol", 1, 512, 2),
    "step-tiny": step_item("tiny", 8, 256, 5),
    "step-quickstart": step_item("quickstart", 8, 256, 10),
    "eval": {"what": "evaluation, smol, 2,048 tokens", "ours": ("eval_bench", "evaluate_windows"),
             "torch": ["eval", 2]},
    "generate": {"what": "generation, smol, 32 x 256", "ours": ("generate_bench", "generate/batch:32/tokens:256/"),
                 "torch": ["generate", 32, 256]},
}


def progress(text):
    print(text, file=sys.stderr, flush=True)


def stop(message):
    sys.exit(f"compare.py: {message}")


def output_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        stop(f"{' '.join(command)[:500]}\nended with {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout


def run_bench(build, program, pattern, min_seconds):
    """What one of our benches prints, by name, with its context."""
    path = os.path.join(build, "bench", program)
    out = output_of([path, f"--benchmark_filter=^({pattern})", "--benchmark_format=json",
                     f"--benchmark_min_time={min_seconds}"])
    if not out.strip():
        stop(f"{path} has no bench {pattern}")
    result = json.loads(out)
    for bench in result["benchmarks"]:
        if bench.get("error_occurred"):
            stop(f"{bench['name']}: {bench['error_message']}")
        bench["seconds"] = bench["real_time"] * SECONDS[bench["time_unit"]]
    return {bench["name"]: bench for bench in result["benchmarks"]}, result["context"]


def our_sample(build, program, pattern):
    (bench,) = run_bench(build, program, pattern, 3)[0].values()
    return {"seconds": bench["seconds"], "tokens": bench["tokens/s"] * bench["seconds"],
            "peak_rss_MB": bench["peak_rss_MB"]}


def torch_sample(arguments):
    result = json.loads(output_of([sys.executable, os.path.join(FOLDER, "torch_steps.py"), *map(str, arguments)]))
    return {"seconds": statistics.median(result["seconds"]), "tokens": result["tokens"],
            "peak_rss_MB": result["peak_rss_MB"]}


def products(model):
    """(T, in, out), how often a layer pass or head has it: the products of one pass over a step's tokens."""
    hidden, inner, keys, layers, vocabulary, tokens = SHAPES[model]
    return {(tokens, hidden, hidden): 2 * layers, (tokens, hidden, keys): 2 * layers,
            (tokens, hidden, inner): 2 * layers, (tokens, inner, hidden): layers,
            (HEAD_CHUNK, hidden, vocabulary): tokens / HEAD_CHUNK}


PASSES = {0: 2, 1: 1, 2: 1}  # direction of sgemm: teacher and student forward, dx, dW


def useful_operations(model):
    return sum(2 * t * i * o * count * passes for (t, i, o), count in products(model).items()
               for passes in PASSES.values())


def peaks(build, models):
    """FLOP/s: fused multiply-adds, and for each model sgemm's on the mix of its step's products."""
    progress("the machine's peaks")
    names = {model: {f"sgemm/T:{t}/in:{i}/out:{o}/direction:{d}/real_time": count * passes
                     for (t, i, o), count in products(model).items() for d, passes in PASSES.items()}
             for model in models}
    wanted = ["fused_multiply_adds/2/real_time", *{name for mix in names.values() for name in mix}]
    found, context = run_bench(build, "peaks_bench", "|".join(wanted), 0.1)
    rates = {"fused multiply-adds": found[wanted[0]]["FLOP/s"]}
    for model, mix in names.items():
        seconds = sum(count * found[name]["seconds"] for name, count in mix.items())
        rates[f"sgemm, {model}"] = useful_operations(model) / seconds
    return rates, context


def median(samples, key="seconds"):
    return statistics.median(sample[key] for sample in samples)


def timing(samples):
    seconds = [sample["seconds"] for sample in samples]
    return f"{median(samples):.3g} s ± {100 * (max(seconds) - min(seconds)) / median(samples):.0f} %"


def rate(samples):
    return f"{median(samples, 'tokens') / median(samples):,.0f}"


def table(head, rows):
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def report(items, samples, before, after, context):
    print(f"{context['isa']}, {context['blas']}; medians over {len(samples[items[0]]['ours'])} turns, 2 threads")
    against, own = [], []
    for item in items:
        s = samples[item]
        ours, theirs = s["ours"], s["torch"]
        share = ""
        if "labels" in s:
            model = ITEMS[item]["model"]
            limit = statistics.mean(p[f"sgemm, {model}"] for p in (before, after))
            share = f"{100 * useful_operations(model) / median(ours) / limit:.0f} %"
            own.append([ITEMS[item]["what"], timing(s["labels"]), f"{median(ours) / median(s['labels']):.2f}",
                        timing(s["one thread"]), f"{median(s['one thread']) / median(ours):.2f}"])
        against.append([ITEMS[item]["what"], timing(ours), timing(theirs), f"{median(theirs) / median(ours):.2f}",
                        rate(ours), rate(theirs), f"{median(ours, 'peak_rss_MB'):,.0f}",
                        f"{median(theirs, 'peak_rss_MB'):,.0f}", share])
    table(["what", "ours", "PyTorch", "ratio", "tokens/s", "PyTorch's", "peak MB", "PyTorch's",
           "useful FLOP of sgemm's"], against)
    if own:
        table(["what", "with labels alone", "with a teacher / with labels", "1 thread", "1 thread / 2 threads"], own)
    table(["peak, GFLOP/s", "at the start", "at the end"],
          [[name, f"{before[name] / 1e9:.0f}", f"{after[name] / 1e9:.0f}"] for name in before])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="the build folder, configured with -DHALFTONE_BENCH=ON")
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--only", default=",".join(ITEMS), help="some of " + ",".join(ITEMS))
    parser.add_argument("--json", help="a file for every sample")
    args = parser.parse_args()
    args.only = args.only.split(",")
    for item in args.only:
        if item not in ITEMS:
            stop(f"'{item}' is none of {', '.join(ITEMS)}")
    if args.repeats < 1:
        stop(f"--repeats {args.repeats}, expected 1 or more")
    for program in {"peaks_bench", *(ITEMS[item]["ours"][0] for item in args.only)}:
        path = os.path.join(args.build, "bench", program)
        if not os.access(path, os.X_OK):
            stop(f"{path} is missing; build it:\n"
                 "  cmake --preset release -DHALFTONE_BENCH=ON && cmake --build --preset release")
    for module in ("torch", "transformers"):
        if not importlib.util.find_spec(module):
            stop(f"this Python ({sys.executable}) has no {module}: pip install torch transformers")
    return args


def main():
    args = arguments()
    models = [ITEMS[item]["model"] for item in args.only if "model" in ITEMS[item]]
    before, context = peaks(args.build, models)
    samples = {item: {} for item in args.only}
    for turn in range(args.repeats):
        for item in args.only:
            for side in ("ours", "torch", "labels", "one thread"):
                if side not in ITEMS[item]:
                    continue
                progress(f"turn {turn + 1} of {args.repeats}: {item}, {side}")
                work = ITEMS[item][side]
                sample = torch_sample(work) if side == "torch" else our_sample(args.build, *work)
                samples[item].setdefault(side, []).append(sample)
    after, _ = peaks(args.build, models)
    report(args.only, samples, before, after, context)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"context": context, "samples": samples, "peaks": [before, after]}, file, indent=1)


main()
