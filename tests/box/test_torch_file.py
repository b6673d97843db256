"""A tensor that was written without torch is read by torch as it is."""

from __future__ import annotations

import io

import pytest
import torch

from sensorium.model.vllm.torch_file import write_tensor


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (0, 4), (), (2, 3, 4), (300, 576)])
def test_torch_reads_the_same_numbers(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    wanted = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    data = wanted.reshape(-1).view(torch.uint8).numpy().tobytes() if wanted.numel() else b""
    written = write_tensor(data, shape, str(dtype).removeprefix("torch."))
    read = torch.load(io.BytesIO(written), weights_only=True)
    assert (read.dtype, read.shape, read.layout) == (dtype, wanted.shape, torch.strided)
    assert read.is_contiguous()
    assert torch.equal(read, wanted)
