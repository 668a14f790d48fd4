#!/usr/bin/env bash
# carry.sh TO PROGRAM...: programs and what they load, in one folder for a machine that has the C library, an
# NVIDIA driver and CUDA's libraries, and nothing else of ours: TO/PROGRAM looks for libraries in TO/lib.
set -euo pipefail
to=$1
shift
mkdir -p "$to/lib"
for program in "$@"; do
  install -m 755 "$program" "$to"
  ldd "$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
    grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*|libcuda|libcublas|libcublasLt|libcudart|libnccl)\.so' |
    xargs -r -I{} cp -Lu {} "$to/lib"
done
