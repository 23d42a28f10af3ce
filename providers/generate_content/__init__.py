"""Gemini and its generateContent API, whoever serves it: pure functions for the providers that do.

    request ─┬─ turns ─── media    messages                stream ─── answer ─┬─ citations
             ├─ tools ─── schema   functions, JSON Schemas                     └─ wire
             ├─ thinking           effort and budgets      counting, embeddings
             └─ models             what each family takes  errors

No provider is configured here.
"""
