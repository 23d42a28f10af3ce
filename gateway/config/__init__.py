"""Settings: read from a file and the environment, judged at once, and able to explain themselves.

    text ─ document ─┐
    environ ─ environment ─┼─ merge ─ reader ─ Settings ─ judge
    command line ────┘

Every layer is a tree of ``Found`` values that know where they were written, so that a problem names its place and
``sluice check-config`` can say where each value came from.
"""
