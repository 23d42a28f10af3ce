from collections.abc import Callable

from gateway.core.types import Usage
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.record import Record
from gateway.telemetry.settlement import BATCH_RECORDS, DELAY_S, Settlement


class Lines:
    """Stands for the log: keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.said: list[str] = []

    def request(self, record: Record) -> None:
        self.records.append(record)

    def say(self, message: str, **_: str) -> None:
        self.said.append(message)


class Timer:
    """Stands for the loop: runs what is due when told to."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        assert delay_s == DELAY_S
        self.due.append(call)

    def run(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()


def settlement() -> tuple[Settlement, Metrics, Lines, Timer]:
    metrics, lines, timer = Metrics(), Lines(), Timer()
    return Settlement(metrics, lines, timer.call_later), metrics, lines, timer  # type: ignore[arg-type]


def record(number: int, metrics: Metrics | None = None) -> Record:
    made = Record(request_id=f"req_{number}", endpoint="chat", status=200)
    if metrics is not None:
        made.series = metrics.series("chat", "openai", "m")
    return made


def counted(metrics: Metrics) -> dict[tuple[str, ...], list[float]]:
    return metrics.samples({})["sluice_requests"]


def test_a_record_is_counted_and_logged_once_after_the_delay() -> None:
    settling, metrics, lines, timer = settlement()
    settling.add(record(1, metrics))
    assert lines.records == []
    timer.run()
    timer.run()
    assert [each.request_id for each in lines.records] == ["req_1"]
    assert counted(metrics) == {("chat", "openai", "m", "200"): [1]}


def test_a_full_batch_does_not_wait() -> None:
    settling, metrics, lines, timer = settlement()
    for number in range(BATCH_RECORDS):
        settling.add(record(number, metrics))
    assert len(lines.records) == BATCH_RECORDS
    timer.run()
    assert len(lines.records) == BATCH_RECORDS


def test_order_is_kept_and_later_records_get_a_timer_of_their_own() -> None:
    settling, metrics, lines, timer = settlement()
    settling.add(record(1, metrics))
    timer.run()
    settling.add(record(2, metrics))
    settling.add(record(3, metrics))
    assert len(timer.due) == 1
    settling.settle()
    assert [each.request_id for each in lines.records] == ["req_1", "req_2", "req_3"]


def test_a_request_without_a_target_is_counted_by_its_endpoint() -> None:
    settling, metrics, _, _ = settlement()
    settling.add(record(1))
    settling.add(Record(request_id="req_2", status=404))
    settling.settle()
    assert counted(metrics) == {("chat", "", "", "200"): [1], ("unknown", "", "", "404"): [1]}


def test_a_record_that_cannot_be_settled_harms_no_other() -> None:
    settling, metrics, lines, _ = settlement()
    poisoned = record(1, metrics)
    poisoned.usage = Usage(input_tokens=10**400)
    settling.add(poisoned)
    settling.add(record(2, metrics))
    settling.settle()
    assert [each.request_id for each in lines.records] == ["req_2"]
    assert lines.said == ["request not settled"]
