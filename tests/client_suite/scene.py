"""What every client is asked to do, and what then comes of it."""

from typing import Any

from pydantic import BaseModel

# The model calls the tools that it is told by name.
ASK = "Please get_weather for Paris. Voilà!"
HELLO = "Grüß dich, 世界"
SAID = f"You said: {HELLO}"
CITY = "a city"
WEATHER = f"sunny in {CITY}"
TOLD = f"The tools said: {WEATHER}"
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Its name"}},
    "required": ["city"],
    "additionalProperties": False,
}


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


class Trip(BaseModel):
    city: str
    days: int


TRIP = Trip(city=CITY, days=3)
