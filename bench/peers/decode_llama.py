"""Decoding and prompts of one model's shape: halftone against llama.cpp (llama-cpp-python from PyPI).

    python bench/peers/decode_llama.py --build build/release PACKED F16.gguf [--types Q4_0,TQ2_0] [--activations f32,int11] [--repeats 3]

PACKED is what `halftone export --format packed` wrote, F16.gguf the same model by `--format gguf --gguf-type f16`,
which is quantised here to each type by llama.cpp itself: the peer's speed does not depend on what its weights hold.
Both programs run in turns on the same threads; medians of the repeats are printed, with their spread.
"""
import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

PROMPT, DECODE = 128, 64


def quantise(source, kind, path):
    import llama_cpp
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    params.nthread = 2
    if llama_cpp.llama_model_quantize(source.encode(), path.encode(), ctypes.byref(params)) != 0:
        sys.exit(f"{kind}: llama.cpp did not quantise {source}")


def measure_llama(path, threads):
    """Tokens a second of prompt and decoding, and seconds from opening the file to the first token."""
    import llama_cpp
    start = time.perf_counter()
    model_params = llama_cpp.llama_model_default_params()
    model = llama_cpp.llama_model_load_from_file(path.encode(), model_params)
    context_params = llama_cpp.llama_context_default_params()
    context_params.n_ctx = context_params.n_batch = context_params.n_ubatch = 256
    context_params.n_threads = context_params.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, context_params)
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))

    def decode(ids):
        tokens = (llama_cpp.llama_token * len(ids))(*ids)
        assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(ids))) == 0
        logits = llama_cpp.llama_get_logits_ith(context, -1)
        return max(range(0, vocabulary, 997), key=lambda i: logits[i])  # waits for the result

    def clear():
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)

    decode([1])
    first = time.perf_counter() - start
    prompts, decodes = [], []
    for _ in range(6):
        clear()
        begin = time.perf_counter()
        decode([(7 * i + 3) % vocabulary for i in range(PROMPT)])
        prompts.append(PROMPT / (time.perf_counter() - begin))
        clear()
        decode([1])
        begin = time.perf_counter()
        for i in range(DECODE):
            decode([(11 * i + 5) % vocabulary])
        decodes.append(DECODE / (time.perf_counter() - begin))
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return {"prompt": statistics.median(prompts[1:]), "decode": statistics.median(decodes[1:]), "first": first}


def measure_halftone(program, packed, activations):
    out = json.loads(subprocess.run([program, "bench", packed, "--prompt", str(PROMPT), "--tokens", str(DECODE),
                                     "--activations", activations, "--json"], check=True, capture_output=True).stdout)
    begin = time.perf_counter()
    subprocess.run([program, "generate", packed, "--prompt", "a", "--tokens", "1"], check=True, capture_output=True)
    return {"prompt": out["prompt"]["tokens_per_second"], "decode": out["decode"]["tokens_per_second"],
            "first": time.perf_counter() - begin, "share": out["decode"]["bandwidth_share"],
            "bandwidth": out["read_bandwidth"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packed")
    parser.add_argument("gguf", nargs="?")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--types", default="Q4_0,TQ2_0")
    parser.add_argument("--activations", default="f32,int11")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a process of its own measures one file
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure_llama(args.one, args.threads)))
        return
    program = os.path.join(args.build, "halftone")
    ours = args.activations.split(",")
    results = {name: [] for name in ours}
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for kind in args.types.split(","):
            files[kind] = os.path.join(folder, kind + ".gguf")
            quantise(args.gguf, kind, files[kind])
            results[kind] = []
        for _ in range(args.repeats):
            for name in ours:
                results[name].append(measure_halftone(program, args.packed, name))
            for kind, path in files.items():
                out = subprocess.run([sys.executable, __file__, args.packed, "--one", path, "--threads", str(args.threads)],
                                     check=True, capture_output=True).stdout
                results[kind].append(json.loads(out.splitlines()[-1]))
    median = {name: {key: statistics.median(r[key] for r in rows) for key in rows[0]} for name, rows in results.items()}
    for name, rows in results.items():
        text = [f"{name:10}"]
        for key in ("prompt", "decode"):
            values = [r[key] for r in rows]
            text.append(f"{key} {median[name][key]:8.1f} tokens/s ({(max(values) - min(values)) / median[name][key]:.0%})")
        text.append(f"first token {median[name]['first']:.3f} s")
        print("  ".join(text))
    for name in ours:
        print(f"{name}: reads {median[name]['share']:.2f} of {median[name]['bandwidth'] / 1e9:.1f} GB/s while it decodes")
        for key in ("prompt", "decode"):
            best = max((m for n, m in median.items() if n not in ours), key=lambda m: m[key])
            print(f"{name} {key}: {median[name][key] / best[key]:.2f} times llama.cpp's best")


if __name__ == "__main__":
    main()
