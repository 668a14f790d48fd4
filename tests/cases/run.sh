#!/usr/bin/env bash
# Inputs and habits that once failed, each with what is right. run.sh PROGRAM prints a line a check and
# exits with 1 when one fails; inputs/ and its figures are made by make.py.
set -u
H=$(realpath "$1")
inputs=$(realpath "$(dirname "$0")/inputs")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$inputs/figures.sh"
failures=0

# is NAME EXPECTED FOUND
is() {
  if [ "$2" = "$3" ]; then echo "ok      $1"; else
    echo "FAILED  $1: expected '$2', found '$3'"; failures=$((failures + 1))
  fi
}
# near NAME EXPECTED FOUND: within 1e-5, relative
near() {
  if awk -v a="$2" -v b="$3" 'BEGIN { exit !(b != "" && (a - b) ^ 2 < 1e-10 * a * a) }'; then echo "ok      $1"; else
    echo "FAILED  $1: expected $2, found '$3'"; failures=$((failures + 1))
  fi
}
# code COMMAND...: its exit code; what it says is left in out and err.
code() { "$@" >out 2>err; echo $?; }
holds() { grep -q -e "$1" "${2:-err}" && echo yes || { echo no; head -c 300 "${2:-err}" >&2; }; }
field() { sed -n "s/.*\"$1\": \"\{0,1\}\([^,\"]*\).*/\1/p" out | head -1; }
# model NAME [FILE AS]...: a copy of the model with files replaced
model() {
  local name=$1; shift
  cp -r "$inputs/model" "$name"
  while [ $# -gt 0 ]; do cp "$inputs/$1" "$name/$2"; shift 2; done
}
recipe() {
  cat >"$1.toml" <<END
[run]
name = "$1"
method = "$2"
[teacher]
model = "$3"
$4
[eval]
text = "${5:-text.txt}"
context = 32
END
}
trained='[data]
train = ["text.txt"]
max_seq_length = 32
[student]
post_layer_norm = false
[train]
max_steps = 4
lr_scheduler_type = "constant"
per_device_train_batch_size = 2
save_steps = 2
save_total_limit = 9
logging_steps = 1'
calibrated='[calibration]
text = ["text.txt"]
num_calibration_samples = 8
max_seq_length = 32'
cp "$inputs/text.txt" .
printf 'Hello' >short.txt
model plain

# Numbers beyond F16 are kept, and what is written is read again.
model wide beyond-f16.safetensors model.safetensors
is "01 export of numbers beyond F16" 0 "$(code "$H" export wide --out e01)"
is "01 the export is read" 0 "$(code "$H" inspect e01)"
is "01 refused in F16" 6 "$(code "$H" export wide --out e01b --dtype f16)"
is "01 the tensor is named" yes "$(holds up_proj)"
is "01 nothing is left" no "$([ -e e01b ] && echo yes || echo no)"

# A run is a model with its teacher's end token, with or without the teacher.
recipe r02 rtn plain "$calibrated"
is "02 run" 0 "$(code "$H" run r02.toml --run-dir x02 --quiet)"
"$H" generate plain --prompt hi --tokens 5 --temperature 0 >teacher.txt
mv plain gone; "$H" generate x02 --prompt hi --tokens 5 --temperature 0 >student.txt; mv gone plain
is "02 the teacher stops" "hi" "$(cat teacher.txt)"
is "02 files that the run keeps" "generation_config.json tokenizer.json tokenizer_config.json" \
  "$(cd x02; ls | grep -E 'token|generation' | xargs)"
is "02 the student's text has no end token" no "$(holds 'im_end' student.txt 2>/dev/null)"

# Added tokens.
model added added_tokens_config.json tokenizer_config.json
cp "$inputs/padded/"* added
code "$H" eval added --text "$inputs/added_tokens.txt" --context 32 --json --quiet >/dev/null
is "04 tokens that only tokenizer_config.json names" "$added_tokens" "$(field tokens)"
model single single_word.json tokenizer.json
cp "$inputs/padded/"* single
code "$H" eval single --text "$inputs/single_word.txt" --context 32 --json --quiet >/dev/null
is "05 single_word and normalized" "$single_word" "$(field tokens)"

# inspect shows what the file holds.
model brain bf16.safetensors model.safetensors
code "$H" inspect brain >/dev/null
is "07 BF16" BF16 "$(awk '/up_proj/ { print $2 }' out)"
code "$H" inspect wide >/dev/null
is "07 F32" F32 "$(awk '/up_proj/ { print $2 }' out)"

# Fewer steps than are done.
recipe r08 onebit plain "$trained"
is "08 run" 0 "$(code "$H" run r08.toml --run-dir x08 --quiet)"
cp x08/recipe.toml before.toml
is "08 fewer steps are refused" 2 "$(code "$H" resume x08 --set train.max_steps=2 --quiet)"
is "08 the record stays" yes "$(cmp -s before.toml x08/recipe.toml && echo yes)"

# Rows without a token are never drawn.
model padded; cp "$inputs/padded/"* padded
recipe r10 onebit padded '[data]
max_seq_length = 32
generate = { sequences = 8, top_k = 0 }
[train]
max_steps = 2
per_device_train_batch_size = 2'
is "10 generate" 0 "$(code "$H" generate padded --prompt hello --tokens 60 --temperature 1 --top-k 0)"
is "10 check" 0 "$(code "$H" check r10.toml)"
is "10 run" 0 "$(code "$H" run r10.toml --run-dir x10 --quiet)"

# More tokens than rows.
model fewer; cp "$inputs/fewer-rows/"* fewer
recipe r11 onebit fewer "$trained"
is "11 check" 3 "$(code "$H" check r11.toml)"
is "11 both figures are named" yes "$(holds '300.*290')"
is "11 eval" 3 "$(code "$H" eval fewer --text text.txt --context 32 --quiet)"
is "11 run" 3 "$(code "$H" run r11.toml --run-dir x11 --quiet)"

# tokenizer.model goes along.
model pieces spm.model tokenizer.model
rm pieces/tokenizer.json; echo '{"tokenizer_class": "LlamaTokenizer"}' >pieces/tokenizer_config.json
is "12 export" 0 "$(code "$H" export pieces --out e12)"
is "12 tokenizer.model" yes "$(cmp -s pieces/tokenizer.model e12/tokenizer.model && echo yes)"

# An export never takes the place of something.
cp -r wide source15
is "15 into its source" 2 "$(code "$H" export source15 --out source15)"
is "15 the source stays" yes "$(cmp -s wide/model.safetensors source15/model.safetensors && echo yes)"
is "15 into a directory that is in use" 2 "$(code "$H" export source15 --out x08)"

# A .gguf has its tokenizer inside, and what is made of it has one beside.
cp "$inputs/plain.gguf" .
code "$H" eval plain.gguf --text text.txt --context 32 --json --quiet >/dev/null; direct=$(field perplexity)
is "16 export" 0 "$(code "$H" export plain.gguf --out e16)"
code "$H" eval e16 --text text.txt --context 32 --json --quiet >/dev/null
near "16 perplexity of the export" "$direct" "$(field perplexity)"
recipe r16 rtn plain.gguf "$calibrated"
is "16 run" 0 "$(code "$H" run r16.toml --run-dir x16 --quiet)"
mv plain.gguf gone.gguf
is "16 eval of the run without its teacher" 0 "$(code "$H" eval x16 --text text.txt --context 32 --quiet)"
is "16 export of the run without its teacher" 0 "$(code "$H" export x16 --out e16b)"
is "16 its tokenizer" yes "$([ -e e16b/tokenizer.json ] && echo yes)"

# By content, not by name.
mv gone.gguf sha256-0f1e2d
code "$H" eval sha256-0f1e2d --text text.txt --context 32 --json --quiet >/dev/null
near "17 a .gguf under another name" "$direct" "$(field perplexity)"

# A run and what it reads move together, or apart.
mkdir a; cp -r plain text.txt a; cp r08.toml a/r.toml
"$H" run a/r.toml --set train.max_steps=2 --run-dir a/x --quiet >out 2>err
cp x08/model.h5 whole.h5
mv a b
is "19 moved with all that it reads" 0 "$(code "$H" resume b/x --set train.max_steps=4 --quiet)"
is "19 the same bits" "$("$H" inspect whole.h5 --digest)" "$("$H" inspect b/x/model.h5 --digest)"
mkdir c; cp -r b/x c/x; rm -r b/plain
is "19 its teacher gone" 2 "$(code "$H" resume c/x --quiet)"
is "19 its teacher elsewhere" 0 \
  "$(code "$H" resume c/x --set teacher.model=plain --set data.train=text.txt --set eval.text=text.txt --quiet)"
is "19 another learning rate" 8 "$(code "$H" resume c/x --set teacher.model=plain --set data.train=text.txt \
  --set eval.text=text.txt --set train.learning_rate=0.5 --quiet)"
is "19 the key is named" yes "$(holds 'train.learning_rate was .*0.5')"

# What would fail at the end is found before the start.
recipe r20 onebit plain "$trained" short.txt
is "20 check" 2 "$(code "$H" check r20.toml)"
is "20 run" 2 "$(code "$H" run r20.toml --run-dir x20 --quiet)"
is "20 nothing was trained" no "$([ -e x20/model.h5 ] && echo yes || echo no)"

# tokenizer.json of the sentencepiece kind.
model meta metaspace.json tokenizer.json
rm meta/tokenizer_config.json
code "$H" eval meta --text text.txt --context 32 --json --quiet >/dev/null
is "21 tokenizer.json of the sentencepiece kind" "$metaspace" "$(field tokens)"

# A run of method none is no model.
recipe r25 none plain ""
is "25 run" 0 "$(code "$H" run r25.toml --run-dir x25 --quiet)"
is "25 eval" 3 "$(code "$H" eval x25 --text text.txt --context 32 --quiet)"
is "25 it says so" yes "$(holds 'holds no model.*none')"
is "25 export" 3 "$(code "$H" export x25 --out e25)"

# Kinds of rotary embedding.
for kind in linear dynamic yarn; do
  model "rope-$kind" "$kind.json" config.json
  code "$H" eval "rope-$kind" --text text.txt --context 32 --json --quiet >/dev/null
  near "27 $kind" "${!kind}" "$(field perplexity)"
done
code "$H" eval plain --text text.txt --context 32 --json --quiet >/dev/null
near "27 default" "$perplexity" "$(field perplexity)"

# All that says how a model is used goes along.
is "29 export" 0 "$(code "$H" export plain --out e29)"
for file in tokenizer.json tokenizer_config.json generation_config.json; do
  is "29 $file" yes "$(cmp -s "plain/$file" "e29/$file" && echo yes)"
done

exit $((failures > 0))
