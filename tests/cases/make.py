"""Makes the inputs of run.sh: one tiny random model and what varies in it, each kind of file that once
failed, and the figures that the reference (transformers, tokenizers) has for them.

    python make.py          writes inputs/ beside this file

Needs torch, transformers, tokenizers, sentencepiece, safetensors, gguf.
"""
import gzip
import json
import math
import pathlib
import shutil

import gguf
import numpy
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent
OUT = HERE / "inputs"
STORIES = HERE.parent.parent / "recipes/quickstart/heldout.txt"
ROWS = 300


def train_bpe(text):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=ROWS, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def make_model(rows=ROWS, **more):
    torch.manual_seed(1)
    config = LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=1, head_dim=8, vocab_size=rows, max_position_embeddings=128,
                         initializer_range=0.3, bos_token_id=None, eos_token_id=2, pad_token_id=0, **more)
    return LlamaForCausalLM(config)


def save_model(model, folder):
    model.half().save_pretrained(folder)


def perplexity(folder, text, context):
    """Disjoint windows of `context` tokens, mean over all predictions, in double."""
    ids = torch.tensor(AutoTokenizer.from_pretrained(folder)(text)["input_ids"])
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float64)
    losses = []
    for k in range(len(ids) // context):
        window = ids[k * context:(k + 1) * context][None]
        with torch.no_grad():
            losses.append(model(window, labels=window).loss.item())
    return math.exp(sum(losses) / len(losses))


def write_gguf(model, tokenizer, path):
    writer = gguf.GGUFWriter(path, "llama")
    c = model.config
    writer.add_name("plain")
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_rope_dimension_count(c.head_dim)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_vocab_size(c.vocab_size)
    spec = json.loads(tokenizer.to_str())
    tokens = [None] * ROWS
    for token, at in tokenizer.get_vocab().items():
        tokens[at] = token
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if at < 3 else 1 for at in range(ROWS)])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]])
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}")
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
             "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    for name, tensor in model.state_dict().items():
        value = tensor.half().numpy()
        heads = {"q_proj": c.num_attention_heads, "k_proj": c.num_key_value_heads}.get(name.split(".")[-2])
        if heads:  # halves to pairs
            value = value.reshape(heads, 2, c.head_dim // 2, -1).swapaxes(1, 2).reshape(value.shape)
        for hf, short in names.items():
            name = name.replace(hf, short)
        name = name.replace("model.layers.", "blk.")
        writer.add_tensor(name, value.astype(numpy.float32) if value.ndim == 1 else value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    base = OUT / "model"
    base.mkdir(parents=True)
    text = STORIES.read_text()[:9000]
    (OUT / "text.txt").write_text(text)
    tokenizer = train_bpe(text)
    tokenizer.save(str(base / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "chat_template": "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"}
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    model = make_model()
    # After "hi" the end token is the likeliest: the hidden state of one position decides all.
    save_model(model, base)
    ids = tokenizer.encode("hi").ids
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
    hidden = model.model(torch.tensor([ids])).last_hidden_state[0, -1]
    with torch.no_grad():
        model.lm_head.weight[2] = 3 * hidden / hidden.norm()
    save_model(model, base)
    figures = {"perplexity": perplexity(base, text, 32)}

    weights = load_file(base / "model.safetensors")
    wide = {name: tensor.float() for name, tensor in weights.items()}
    wide["model.norm.weight"][3] = 100000.0
    wide["model.layers.0.mlp.up_proj.weight"][1, 2] = 70000.0
    save_file(wide, OUT / "beyond-f16.safetensors", {"format": "pt"})
    save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, OUT / "bf16.safetensors",
              {"format": "pt"})
    (OUT / "padded").mkdir()
    save_model(make_model(384), OUT / "padded")
    (OUT / "fewer-rows").mkdir()
    save_model(make_model(290), OUT / "fewer-rows")
    write_gguf(make_model().half(), tokenizer, OUT / "plain.gguf")

    # Tokens that only tokenizer_config.json names.
    named = dict(settings, added_tokens_decoder={
        str(ROWS + i): {"content": token, "special": True, "lstrip": False, "rstrip": False,
                        "normalized": False, "single_word": False}
        for i, token in enumerate(["<|user|>", "<|bot|>"])})
    (OUT / "added_tokens_config.json").write_text(json.dumps(named))
    (OUT / "added_tokens.txt").write_text("<|user|> hi <|bot|> yes\n" * 60)
    folder = OUT / "reference"
    shutil.copytree(base, folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    figures["added_tokens"] = len(AutoTokenizer.from_pretrained(folder)((OUT / "added_tokens.txt").read_text())["input_ids"])
    shutil.rmtree(folder)

    # single_word beside typographic quotes, normalized with a letter that NFC changes.
    spec = json.loads((base / "tokenizer.json").read_text())
    spec["normalizer"] = {"type": "NFC"}
    spec["added_tokens"] += [
        {"id": ROWS, "content": "WORD", "single_word": True, "lstrip": False, "rstrip": False,
         "normalized": False, "special": False},
        {"id": ROWS + 1, "content": "\u0041\u030a!", "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": True, "special": False}]
    (OUT / "single_word.json").write_text(json.dumps(spec))
    lines = "\u201cWORD\u201d \u2014WORD\u2014 \u00c5! \u0041\u030a! SWORD WORDS _WORD\n" * 40
    (OUT / "single_word.txt").write_text(lines)
    figures["single_word"] = len(Tokenizer.from_file(str(OUT / "single_word.json")).encode(lines).ids)

    # A sentencepiece vocabulary as tokenizer.model, and as transformers saves it: tokenizer.json alone.
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.split("\n")), model_prefix=str(OUT / "spm"), vocab_size=ROWS,
        model_type="bpe", byte_fallback=True, character_coverage=0.995, normalization_rule_name="identity",
        remove_extra_whitespaces=False, add_dummy_prefix=True, minloglevel=2)
    (OUT / "spm.vocab").unlink()
    folder = OUT / "reference"
    folder.mkdir()
    shutil.copy(OUT / "spm.model", folder / "tokenizer.model")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    saved = AutoTokenizer.from_pretrained(folder)
    saved.save_pretrained(OUT / "saved")
    shutil.copy(OUT / "saved/tokenizer.json", OUT / "metaspace.json")
    shutil.rmtree(OUT / "saved")
    shutil.rmtree(folder)
    figures["metaspace"] = len(Tokenizer.from_file(str(OUT / "metaspace.json")).encode(text).ids)

    # Rotary embeddings, the configurations alone.
    ropes = {"linear": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
             "dynamic": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
             "yarn": {"rope_type": "yarn", "factor": 2.0, "rope_theta": 10000.0,
                      "original_max_position_embeddings": 64}}
    for kind, parameters in ropes.items():
        folder = OUT / "reference"
        shutil.copytree(base, folder)
        config = json.loads((folder / "config.json").read_text())
        config["rope_parameters"] = parameters
        (folder / "config.json").write_text(json.dumps(config))
        figures[kind] = perplexity(folder, text, 32)
        shutil.rmtree(folder)
        (OUT / f"{kind}.json").write_text(json.dumps(config))

    (OUT / "figures.sh").write_text("".join(f"{key}={value!r}\n" for key, value in figures.items()))


main()
