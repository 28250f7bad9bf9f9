"""One thread for torch: the models are tiny, and other processes want the cores."""

import urllib.request
from urllib.error import URLError

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def no_network(monkeypatch):
    """Let every download fail at once, as it does without a network."""

    def fail(*_, **__):
        raise URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
