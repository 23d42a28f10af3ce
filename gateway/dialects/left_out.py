"""What of an answer a dialect has no place for, by name."""


class LeftOut(list[str]):
    """Names such as ``answer.images`` and ``answer.choices[1]``, each once, in the order in which they came up."""

    __slots__ = ()

    def name(self, field: str) -> None:
        """``field`` is one of the answer, in the words of ``ContentDelta``."""
        name = f"answer.{field}"
        if name not in self:
            self.append(name)

    def name_choice(self, choice: int) -> None:
        """Everything that this choice says, where a dialect tells the first one only."""
        self.name(f"choices[{choice}]")
