"""The parts of ``providers/simulator.py``, the provider that needs no network.

    request ──> chat_request (types, checks) ──> chat_answer (what to say) ──> chat_wire (its bytes)
            └─> embeddings                                └─ samples, schemas (values for JSON Schemas)
                      both ──> scripts (bytes in time, shaped by the directives)

It speaks OpenAI's wire language as written in the API reference at https://platform.openai.com/docs/api-reference, and
everything is a function of the request body: no clock, no randomness.
"""
