#!/bin/sh
# Installs SGLang and vLLM as far as their EPLB code needs, and gembench, into a virtual environment of their own:
# tests/engines/install.sh FOLDER [PYTHON]. Takes 8 GB, most of it torch, whose CUDA build is what PyPI has for
# Linux; it also runs without a GPU.
set -eu
if [ $# -lt 1 ]; then
  echo "usage: $0 FOLDER [PYTHON]" >&2
  exit 2
fi
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
"${2:-python3}" -m venv "$folder"
pip() { "$folder/bin/python" -m pip --disable-pip-version-check -q "$@"; }
pip install torch==2.14.1 numpy h5py
# Without what they depend on: a server's worth of kernels. stubs.py stands in for what they import of it.
pip install --no-deps sglang==0.5.23 vllm==0.33.0
pip install --no-deps vllm-ascend==0.23.0 || echo "no wheel of vllm-ascend for this Python: its tests are skipped" >&2
# What both import before they come to EPLB.
pip install -r "$here/requirements.txt"
# gembench itself: from this clone, or a wheel that is built already.
pip install "${GEMBENCH_WHEEL:-$here/../../placement/python}"
