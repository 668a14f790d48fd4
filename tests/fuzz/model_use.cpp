#include "model_use.h"

#include <algorithm>
#include <numeric>

#include "halftone/model/companions.h"
#include "halftone/model/spec.h"

namespace halftone::fuzz {

using namespace std::string_view_literals;

void use_inspection(const std::string& path) {
  const Inspection found = inspect_path(path);
  tensors_digest(found.stored);
  inspect_tokenizer(found);
  inspect_model(path, found);
}

void use_model(LoadedModel& model) {
  const auto vocabulary = static_cast<int32_t>(std::min<int64_t>(model.config.vocab_size, 1 << 20));
  std::vector<int32_t> ids{0, vocabulary - 1, vocabulary / 2, 0};
  Tape tape(Tape::Mode::no_grad);
  const Tensor hidden = model.decoder.hidden(tape, ids, 2).value();
  const Tensor logits = model.decoder.logits(hidden);
  touch(logits.raw(), logits.bytes());
  KeyValueCache cache = model.decoder.make_cache(1, 3);
  for (const int32_t id : {0, vocabulary - 1, 0}) {
    Tape step(Tape::Mode::no_grad);
    const Tensor next = model.decoder.hidden(step, {id}, 1, &cache).value();
    touch(next.raw(), next.bytes());
  }
}

void use_tokenizer(const Tokenizer& tokenizer) {
  const std::string_view texts[] = {
      "",
      " ",
      "a",
      "Hello, world!\n\n  It's 12345 o'clock.\t\r\n",
      "<s>[INST] <|endoftext|><|im_start|>user\n<unk></s> <pad> abab  abcabc",
      "\xc3\xa9t\xc3\xa9 \xe2\x96\x81\xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80\xe2\x80\x8d \xcc\x81"
      "\xef\xac\x81\xe1\xba\x9b\xcc\xa3",
      "\xff\xfe\0 \xed\xa0\x80 \xc0\x80 \xf4\x90\x80\x80"sv};
  const auto vocabulary = std::min<int64_t>(tokenizer.vocab_size(), 600);
  for (const std::string_view text : texts) {
    for (const bool special : {false, true}) {
      const std::vector<int32_t> ids =
          tokenizer.encode(text, {.parse_special = special, .add_special_tokens = special});
      for (const int32_t id : ids)
        if (id < 0 || id >= tokenizer.vocab_size())
          throw std::logic_error("an id that the vocabulary has not");
      tokenizer.decode(ids);
      tokenizer.decode_text(ids);
    }
  }
  std::vector<int32_t> all(static_cast<size_t>(std::max<int64_t>(vocabulary, 0)));
  std::iota(all.begin(), all.end(), 0);
  all.push_back(INT32_MAX);
  tokenizer.decode(all);
  tokenizer.decode_text(all);
  for (const int32_t id : all) {
    tokenizer.known(id);
    tokenizer.special(id);
  }
  tokenizer.hash();
  tokenizer.bos();
  tokenizer.eos();
}

void use_model_file(const std::string& path) {
  accepted([&] { use_inspection(path); });
  accepted([&] { read_outline(path); });
  accepted([&] {
    LoadedModel model = load_model(path);
    use_model(model);
    read_companions(model.home, model.config);
    load_model_tokenizer(model.home, model.config);
  });
}

}  // namespace halftone::fuzz
