"""Claude and its Messages API, whoever serves it: pure functions for the providers that do.

    request ─┬─ turns      messages                     stream ─── answer ─── wire
    counting ┤                                          observer ─────────────┘
             ├─ tools ─── hosted    tools, and those that the provider runs
             ├─ thinking   effort and budgets
             ├─ schema     JSON Schemas
             └─ models     what each family of models takes

No provider is configured here.
"""
