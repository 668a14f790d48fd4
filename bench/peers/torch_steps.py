"""The benches' work in PyTorch and transformers on the CPU, 2 threads, fp32, random weights.

usage: python torch_steps.py step smol|tiny|quickstart BATCH LENGTH REPEATS   one distillation step
       python torch_steps.py eval REPEATS                                     a window of 2,048 tokens, loss of each
       python torch_steps.py generate BATCH LENGTH                            sampling, top_k = 50, with the library's cache
Prints one JSON object: the seconds of each repeat, tokens a second by their median, peak memory.
Needs torch and transformers.
"""

import copy
import json
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

SHAPES = {
    "smol": dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
                 num_key_value_heads=3, vocab_size=49152),
    "tiny": dict(hidden_size=256, intermediate_size=688, num_hidden_layers=6, num_attention_heads=8,
                 num_key_value_heads=4, vocab_size=4096),
    "quickstart": dict(hidden_size=256, intermediate_size=640, num_hidden_layers=4, num_attention_heads=8,
                       num_key_value_heads=4, vocab_size=2048),
}


def model_of(shape):
    config = LlamaConfig(tie_word_embeddings=True, max_position_embeddings=2048, **SHAPES[shape])
    return LlamaForCausalLM(config).eval()


class StraightThroughSign(torch.autograd.Function):
    @staticmethod
    def forward(context, latent):
        context.save_for_backward(latent)
        return torch.sign(latent)

    @staticmethod
    def backward(context, gradient):
        (latent,) = context.saved_tensors
        return gradient * (1.001 - torch.tanh(latent) ** 2)


class OneBitLinear(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.latent = torch.nn.Parameter(0.01 * torch.sign(weight))
        self.in_scale = torch.nn.Parameter(torch.ones(weight.shape[1]))
        self.out_scale = torch.nn.Parameter(torch.full((weight.shape[0],), 0.02))

    def forward(self, x):
        y = F.linear(x * self.in_scale, StraightThroughSign.apply(self.latent)) * self.out_scale
        return F.layer_norm(y, y.shape[-1:])


def onebit(model):
    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, child in list(part.named_children()):
                if isinstance(child, torch.nn.Linear):
                    setattr(part, name, OneBitLinear(child.weight.data))
    return model


def distillation_step(shape, batch, length):
    teacher = model_of(shape)
    student = onebit(copy.deepcopy(teacher))
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-3, betas=(0.9, 0.98), fused=True)
    ids = torch.randint(0, teacher.config.vocab_size, (batch, length))

    def step():
        with torch.no_grad():
            wanted = teacher(ids, output_hidden_states=True)
        got = student(ids, output_hidden_states=True)
        divergence = F.kl_div(F.log_softmax(got.logits, -1), F.softmax(wanted.logits, -1), reduction="batchmean")
        loss = 5 * divergence / length
        for t, s in zip(wanted.hidden_states[:-1], got.hidden_states[:-1]):
            loss = loss + (F.normalize(t, dim=-1) - F.normalize(s, dim=-1)).square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()

    return step, batch * length


def evaluation():
    model = model_of("smol")
    ids = torch.randint(0, 49152, (1, 2048))

    def window():
        with torch.no_grad():
            model(ids, labels=ids).loss.item()

    return window, 2048


def generation(batch, length):
    model = model_of("smol")
    first = torch.randint(0, 49152, (batch, 1))

    def sample():
        with torch.no_grad():
            model.generate(first, do_sample=True, top_k=50, min_new_tokens=length - 1, max_new_tokens=length - 1,
                           pad_token_id=0)

    return sample, batch * length


def main():
    torch.set_num_threads(2)
    torch.manual_seed(0)
    what, *arguments = sys.argv[1:]
    if what == "step":
        shape, batch, length, repeats = arguments[0], *map(int, arguments[1:])
        work, tokens = distillation_step(shape, batch, length)
    elif what == "eval":
        repeats = int(arguments[0])
        work, tokens = evaluation()
    else:
        repeats = 1
        work, tokens = generation(*map(int, arguments))
    if what != "generate":
        work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    peak_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"what": " ".join(sys.argv[1:]), "seconds": seconds, "tokens": tokens,
                      "tokens/s": tokens / statistics.median(seconds), "peak_rss_MB": peak_bytes / 1e6}))


main()
