"""A gateway as a process of its own, with a vendor of each language behind it.

    with World(folder) as world:
        client = OpenAI(base_url=world.url + "/v1", api_key=KEY)
        route = world.routes["anthropic"]
        client.chat.completions.create(model=route.model, ...)
        assert route.vendor.question.text == "Hello"

The gateway runs with its own Python, whoever runs this.
"""

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.kit.vendors.anthropic import AnthropicVendor
from tests.kit.vendors.gemini import GeminiVendor
from tests.kit.vendors.openai import OpenAIVendor
from tests.kit.vendors.server import Vendor

ROOT = Path(__file__).resolve().parents[3]
KEY = "sk-master-0123456789abcdef"
_POLL_S = 0.05
_VENDOR_KEY = "sk-vendor-0123456789abcdef"


class Route(NamedTuple):
    """A way through the gateway: ``model`` is what a client asks for, ``vendor`` who gets the question."""

    name: str
    model: str
    vendor: Vendor


class World:
    """``names`` gives instances other names, for clients that read something into the name of a model."""

    def __init__(self, folder: Path, names: dict[str, str] | None = None) -> None:
        self._folder = folder
        self._names = names or {}

    def __enter__(self) -> "World":
        self._open = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            enter = stack.enter_context
            openai, anthropic, gemini = enter(OpenAIVendor()), enter(AnthropicVendor()), enter(GeminiVendor())
            resold = enter(OpenAIVendor())
            self.routes = {
                "openai": self._route("openai", "gpt-5.5", openai),
                "anthropic": self._route("anthropic", "claude-sonnet-4-5", anthropic),
                "gemini": self._route("gemini", "gemini-3-pro", gemini),
                "openrouter": self._route("openrouter", "gpt-4o", resold),
            }
            self.url = self._start({"openai": openai, "anthropic": anthropic, "gemini": gemini, "openrouter": resold})
            stack.callback(self._stop)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _route(self, kind: str, model: str, vendor: Vendor) -> Route:
        return Route(kind, f"{self._names.get(kind, kind)}/{model}", vendor)

    def _start(self, vendors: dict[str, Vendor]) -> str:
        """The address, once the gateway listens."""
        providers: dict[str, Any] = {
            self._names.get(kind, kind): {
                "type": kind,
                "api_key": _VENDOR_KEY,
                "base_url": vendor.url + ("" if kind == "gemini" else "/v1"),
                "retry": {"attempts": 1},
            }
            for kind, vendor in vendors.items()
        }
        providers["simulator"] = {}
        storage = {"path": str(self._folder / "sluice.db")}
        config = self._folder / "sluice.yaml"
        config.write_text(json.dumps({"providers": providers, "storage": storage}))
        log = self._folder / "sluice.log"
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [ROOT / ".venv/bin/python", "-m", "gateway", "serve", "--config", config],
                cwd=ROOT,
                env={"PATH": os.environ.get("PATH", ""), "PORT": "0", "SLUICE_MASTER_KEY": KEY},
                stdout=file,
                stderr=file,
            )
        while self._process.poll() is None:
            for line in log.read_text().splitlines():
                address, _, _ = line.partition("serves on ")[2].partition('"')
                if address:
                    return address
            time.sleep(_POLL_S)
        raise RuntimeError(f"the gateway does not start:\n{log.read_text()}")

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()
