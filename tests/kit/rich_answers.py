"""Answers with something of everything, to be told by any vendor (``tests.kit.said``)."""

from gateway.core.types import FinishReason, Usage
from tests.kit.said import Answer, Called, Refused, Speech, Thought

ARGUMENTS = '{"a":[1,2.5,-3e2],"b":{"z":null,"y":true},"c":"é \\"quoted\\" \\\\ \\n 漢字"}'
LOOK = Called("toolu_01A", "look", ARGUMENTS)
CALLS = FinishReason.TOOL_CALLS

RICH: dict[str, Answer] = {
    "a word": Answer((Speech("Hello"),)),
    "nothing": Answer(()),
    "any script": Answer((Speech('漢字 \U0001f600 é \n\n "q" \\ \u2028 data: x'),)),
    "long enough": Answer((Speech("To be cut off"),), FinishReason.LENGTH),
    "filtered": Answer((Speech("I was"),), FinishReason.CONTENT_FILTER),
    "a refusal": Answer((Refused("I cannot do that."),)),
    "a call": Answer((LOOK,), CALLS),
    "a word and a call": Answer((Speech("Let me look."), LOOK), CALLS),
    "a call without arguments": Answer((Called("call_0", "look", "{}"),), CALLS),
    "parallel calls": Answer(
        (
            Speech("Both."),
            LOOK,
            Called("toolu_01B", "look", '{"a":[]}'),
            Called("toolu_01C", "find", '{"q":"x"}'),
        ),
        CALLS,
    ),
    "bare thought": Answer((Thought("Hm."), Speech("Hello"))),
    "proven thought": Answer((Thought("Let me see.", "c2lnbmF0dXJl+/=="), Speech("Hello"))),
    "thought without words": Answer((Thought("", "b25seQ=="), Speech("Hello"))),
    "withheld thought": Answer(
        (Thought("Aloud.", "c2lnMQ=="), Thought("", "cmVkYWN0ZWQ=", is_redacted=True), Speech("Hello"))
    ),
    "thought before a call": Answer((Thought("Look first.", "c2lnQQ=="), LOOK), CALLS),
    "thought, word and parallel calls": Answer(
        (Thought("Look.", "c2lnQg=="), Speech("Looking."), LOOK, Called("toolu_01B", "look", '{"a":[]}')), CALLS
    ),
    "thought between": Answer(
        (
            Thought("First.", "c2lnMQ=="),
            Speech("One."),
            Thought("Second.", "c2lnMg=="),
            Called("toolu_01A", "look", ARGUMENTS),
            Thought("Third.", "c2lnMw=="),
            Called("toolu_01B", "look", '{"a":[]}'),
        ),
        CALLS,
    ),
    "thought between words": Answer(
        (
            Thought("First.", "c2lnMQ=="),
            Speech("One \U0001f600."),
            Thought("Second.", "c2lnMg=="),
            Speech("漢字 two."),
            Thought("", "cmVkYWN0ZWQ=", is_redacted=True),
            Thought("Third.", "c2lnMw=="),
            LOOK,
            Called("toolu_01B", "look", '{"a":[]}'),
        ),
        CALLS,
    ),
    "words before thought": Answer((Speech("Well."), Thought("Hm.", "c2lnMQ=="), Speech("Hello"))),
    "thought alone": Answer((Thought("Cut in thought", "c2lnQ3V0"),), FinishReason.LENGTH),
    "citations": Answer((Speech("It is so.", ("https://example.com/a", "https://example.com/b")),)),
    "usage": Answer((Speech("Hello"),), usage=Usage(1000, 500, cache_read_tokens=600, reasoning_tokens=400)),
    "cache writes": Answer((Speech("Hello"),), usage=Usage(1000, 500, cache_read_tokens=300, cache_write_tokens=200)),
}
