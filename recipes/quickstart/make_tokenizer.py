"""Train the tokenizer of the quickstart's teacher: byte-level BPE, 2,048 ids, id 0 = <|endoftext|>.

    python recipes/quickstart/make_tokenizer.py recipes/quickstart/train.txt.gz recipes/quickstart/teacher/tokenizer.json

Needs the `tokenizers` package. Each document is a training example of its own, so no merge crosses
a separator. Pre-tokenizer: GPT-2's (ByteLevel with its regular expression, no added space).
"""
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from split_stories import SEPARATOR, read_documents


def main(source, target):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=[SEPARATOR],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    documents = read_documents(source)
    tokenizer.train_from_iterator(documents, trainer)
    assert tokenizer.get_vocab_size() == 2048 and tokenizer.token_to_id(SEPARATOR) == 0
    tokenizer.save(target)
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(documents))
    size = sum(len(document.encode()) for document in documents)
    print(f"{len(documents)} documents, {tokens} tokens, {size / tokens:.2f} bytes a token")


if __name__ == "__main__":
    main(*sys.argv[1:])
