"""What the model behind every vendor says: always the same to the same question, and easy to foresee.

- It calls the tools that the user names, with sample arguments, unless their results are there.
- Told that it must call a tool, it calls one: the one it must, else those named, else the last.
- Asked for JSON by a schema, it answers with a sample of it.
- Otherwise it repeats what it was asked, or what the tools said.
- It thinks when it is asked to.
"""

import itertools
import json
import re
from typing import Any, NamedTuple

Json = dict[str, Any]

# What it writes for a free-form tool.
PATCH = "*** Begin Patch\n*** Add File: note.txt\n+Voilà\n*** End Patch"


class Tool(NamedTuple):
    """``schema`` is None for a free-form tool, which takes text. ``namespace`` as in OpenAI's Responses."""

    name: str
    schema: Json | None
    namespace: str | None = None


class Call(NamedTuple):
    tool: Tool
    arguments: Any

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments, ensure_ascii=False)


class Question(NamedTuple):
    """``text`` is what the user said last, ``results`` what tools said after it. ``choice`` is ``auto``, ``none``,
    ``any`` or the name of a tool behind ``=``. ``proofs`` are the signatures and sealed thoughts that came back."""

    text: str
    results: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    choice: str = "auto"
    is_parallel: bool = True
    schema: Json | None = None
    thinks: bool = False
    proofs: tuple[str, ...] = ()


class Said(NamedTuple):
    thought: str
    text: str
    calls: tuple[Call, ...]


_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


def heard(text: str) -> str:
    """A user's text without the reminders that coding agents put around it; empty when there is nothing else."""
    return _REMINDER.sub("", text).strip()


def say(question: Question) -> Said:
    thought = f"Let me think … about: {question.text[-60:]}" if question.thinks else ""
    calls = tuple(Call(tool, PATCH if tool.schema is None else sample(tool.schema)) for tool in _chosen(question))
    if calls:
        return Said(thought, "", calls)
    if question.schema is not None:
        return Said(thought, json.dumps(sample(question.schema), ensure_ascii=False), ())
    return Said(thought, _spoken(question), ())


def _spoken(question: Question) -> str:
    if question.results:
        return "The tools said: " + "; ".join(question.results)
    return f"You said: {question.text}"


def _chosen(question: Question) -> tuple[Tool, ...]:
    named = tuple(tool for tool in question.tools if tool.name.rpartition("__")[2] in question.text)
    if question.choice == "none" or (question.choice == "auto" and question.results):
        return ()
    if question.choice.startswith("="):
        return tuple(tool for tool in question.tools if tool.name == question.choice[1:])[:1]
    if question.choice == "any" and (question.results or not named):
        return question.tools[-1:]
    return named if question.is_parallel else named[:1]


def sample(schema: Any, root: Any = None, name: str = "value") -> Any:
    """A value that fits the schema; texts are ``a`` and the name of the property."""
    root = schema if root is None else root
    if not isinstance(schema, dict):
        return f"a {name}"
    if "$ref" in schema:
        target = root
        for key in schema["$ref"].split("/")[1:]:
            target = target[key]
        return sample(target, root, name)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if "enum" in schema:
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return sample(schema[word][0], root, name)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _of_kind(kind[0] if isinstance(kind, list) else kind, schema, root, name)


def _of_kind(kind: str, schema: Json, root: Any, name: str) -> Any:
    kind = kind.lower()
    if kind == "object":
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        return {key: sample(value, root, key) for key, value in properties.items() if key in required}
    if kind == "array":
        return [sample(schema.get("items", {}), root, name)] * max(1, schema.get("minItems", 1))
    if kind in ("integer", "number"):
        return max(3, schema.get("minimum", 3))
    # a free-form tool on its way through a vendor without such tools
    text = PATCH if name == "input" else f"a {name}"
    return {"boolean": True, "null": None}.get(kind, text)


def pieces(text: str, count: int = 3) -> list[str]:
    """A text in pieces, as streams bring it."""
    cuts = [len(text) * n // count for n in range(count + 1)]
    return [text[a:b] for a, b in itertools.pairwise(cuts) if a < b]
