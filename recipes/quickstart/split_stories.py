"""Split a file of stories into a training file and a held-out file.

    python recipes/quickstart/split_stories.py stories.txt.gz recipes/quickstart

Documents are separated by a line `<|endoftext|>`. The last 100 documents (fewer if they would
exceed 120,000 bytes) go to `heldout.txt`, all earlier ones to `train.txt.gz`; both files keep the
separator lines. A training document that also stands in the held-out part is left out. The gzip
header carries no time and no name, so the same input gives the same bytes (with the same zlib).
"""
import gzip
import io
import sys
from pathlib import Path

SEPARATOR = "<|endoftext|>"
HELDOUT_DOCUMENTS = 100
HELDOUT_BYTES = 120_000


def read_documents(path):
    """The documents of a .txt or .txt.gz file, without the newlines around the separator lines."""
    data = Path(path).read_bytes()
    text = (gzip.decompress(data) if str(path).endswith(".gz") else data).decode("utf-8")
    documents, lines = [], []
    for line in text.split("\n") + [SEPARATOR]:
        if line == SEPARATOR:
            document = "\n".join(lines).strip("\n")
            if document:
                documents.append(document)
            lines = []
        else:
            lines.append(line)
    return documents


def join_documents(documents):
    return f"\n{SEPARATOR}\n".join(documents) + "\n"


def key(document):
    """Two documents are the same when they differ in white space and case only."""
    return " ".join(document.lower().split())


def main(source, folder):
    documents = read_documents(source)
    first = max(0, len(documents) - HELDOUT_DOCUMENTS)
    while len(join_documents(documents[first:]).encode()) > HELDOUT_BYTES:
        first += 1
    heldout = documents[first:]
    seen = {key(document) for document in heldout}
    train = [document for document in documents[:first] if key(document) not in seen]

    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(join_documents(train).encode())
    Path(folder, "train.txt.gz").write_bytes(buffer.getvalue())
    Path(folder, "heldout.txt").write_bytes(join_documents(heldout).encode())
    print(f"{len(train)} training documents, {len(heldout)} held out, "
          f"{first - len(train)} training documents left out as duplicates of held-out ones, "
          f"{len(train) - len({key(d) for d in train})} repeated inside the training part")


if __name__ == "__main__":
    main(*sys.argv[1:])
