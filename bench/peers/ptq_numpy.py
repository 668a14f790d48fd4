"""BiLLM's searches on one 4096 x 128 block in NumPy: the block that ptq_bench left in block.f64, the same
columns and split expected.  python ptq_numpy.py [block.f64]"""
import json
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/fixtures/quant"))
from reference import partition  # noqa: E402

W = np.fromfile(sys.argv[1] if len(sys.argv) > 1 else "block.f64").reshape(-1, 128)
start = time.perf_counter()
salient, hi = partition(W, np.ones(128), None, "saliency", False, False, 0)
print(json.dumps({"what": "search of one block, NumPy", "seconds": round(time.perf_counter() - start, 3),
                  "salient": int(salient.sum()), "hi": int(hi.sum())}))
