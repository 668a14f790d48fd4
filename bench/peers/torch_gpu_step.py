"""One OneBit distillation step in PyTorch on a GPU: torch.compile, bf16 autocast, fp32 weights, random weights.

usage: python torch_gpu_step.py smol|billion BATCH LENGTH REPEATS plain|normed [blocks|whole]
blocks compiles a block, of which all others are copies, and the loss; whole compiles all of it at once, for minutes.
Prints one JSON object: seconds of each repeat, tokens a second by their median, peak memory of the GPU.
Needs torch with CUDA and transformers.
"""

import copy
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

SHAPES = {
    "smol": dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
                 num_key_value_heads=3, vocab_size=49152),
    "billion": dict(hidden_size=2048, intermediate_size=5632, num_hidden_layers=16, num_attention_heads=32,
                    num_key_value_heads=8, vocab_size=32000),
}


class StraightThroughSign(torch.autograd.Function):
    @staticmethod
    def forward(context, latent):
        context.save_for_backward(latent)
        return torch.where(latent >= 0, 1.0, -1.0).to(torch.bfloat16)

    @staticmethod
    def backward(context, gradient):
        (latent,) = context.saved_tensors
        return gradient.float() * (1.001 - torch.tanh(latent) ** 2)


class OneBitLinear(torch.nn.Module):
    def __init__(self, weight, normed):
        super().__init__()
        self.normed = normed
        self.latent = torch.nn.Parameter(0.01 * torch.sign(weight))
        self.in_scale = torch.nn.Parameter(torch.ones(weight.shape[1]))
        self.out_scale = torch.nn.Parameter(torch.full((weight.shape[0],), 0.02))

    def forward(self, x):
        y = F.linear(x * self.in_scale.to(x.dtype), StraightThroughSign.apply(self.latent))
        y = y * self.out_scale.to(y.dtype)
        return F.layer_norm(y, y.shape[-1:]).to(x.dtype) if self.normed else y


def run(model, ids):
    """Hidden states in front of each block, and the logits."""
    positions = torch.arange(ids.shape[1], device=ids.device)[None]
    hidden = model.model.embed_tokens(ids)
    angles = model.model.rotary_emb(hidden, positions)
    states = []
    for block in model.model.layers:
        states.append(hidden)
        hidden = block(hidden, position_ids=positions, position_embeddings=angles)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
    return states, model.lm_head(model.model.norm(hidden))


def distance(wanted_states, wanted, got_states, got):
    loss = 5 * F.kl_div(F.log_softmax(got.flatten(0, 1).float(), -1), F.log_softmax(wanted.flatten(0, 1).float(), -1),
                        reduction="batchmean", log_target=True)
    for t, s in zip(wanted_states, got_states):
        loss = loss + (F.normalize(t.float(), dim=-1) - F.normalize(s.float(), dim=-1)).square().sum(-1).mean()
    return loss


def main():
    shape, batch, length, repeats, kind = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    compiled = sys.argv[6] if len(sys.argv) > 6 else "blocks"
    torch.manual_seed(0)
    config = LlamaConfig(tie_word_embeddings=True, max_position_embeddings=2048, **SHAPES[shape])
    teacher = LlamaForCausalLM(config).eval()
    student = copy.deepcopy(teacher)
    for layer in student.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, child in list(part.named_children()):
                if isinstance(child, torch.nn.Linear):
                    setattr(part, name, OneBitLinear(child.weight.data, kind == "normed"))
    teacher, student = teacher.cuda().to(torch.bfloat16), student.cuda()
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-4, betas=(0.9, 0.98), fused=True)
    ids = torch.randint(0, config.vocab_size, (batch, length), device="cuda")

    def losses(ids):
        with torch.no_grad():
            wanted = run(teacher, ids)
        with torch.autocast("cuda", torch.bfloat16):
            got = run(student, ids)
        return compared(*wanted, *got)

    compared = distance
    if compiled == "whole":
        losses = torch.compile(losses)
    else:
        compared = torch.compile(distance)
        for block in [*teacher.model.layers, *student.model.layers]:
            block.compile()

    def step():
        optimiser.zero_grad()
        losses(ids).backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()

    for _ in range(3):
        step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"what": " ".join(sys.argv[1:]), "gpu": torch.cuda.get_device_name(),
                      "tokens/s": batch * length / statistics.median(seconds), "seconds": seconds,
                      "peak_gpu_GB": torch.cuda.max_memory_allocated() / 1e9}))


main()
