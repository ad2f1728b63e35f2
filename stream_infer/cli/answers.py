"""The answers to events that were sent: as lines while they come, or in one JSON document at the end."""

from __future__ import annotations

from dataclasses import asdict

from stream_infer.app.answers import Answer, EventPrediction, EventRejection
from stream_infer.app.send import SendReport
from stream_infer.cli.output import say, say_json
from stream_infer.common.printable import printable


class AnswerPrinter:
    """Prints notes, the first `show` predictions and dead letters, and a summary; or one JSON document."""

    def __init__(self, *, show: int, as_json: bool) -> None:
        self._show, self._as_json = show, as_json
        self._notes: list[str] = []
        self._predictions: list[EventPrediction] = []
        self._rejections: list[EventRejection] = []

    def note(self, text: str) -> None:
        """Print a line, or keep it for the document."""
        self._notes.append(text)
        self._print(text)

    def answer(self, answer: Answer) -> None:
        """Print one of the first answers, or keep it for the document."""
        if isinstance(answer, EventPrediction):
            if len(self._predictions) < self._show:
                self._predictions.append(answer)
                self._print(prediction_text(answer))
        elif len(self._rejections) < self._show:
            self._rejections.append(answer)
            self._print(rejection_text(answer))

    def end(self, report: SendReport, timeout_s: float) -> None:
        """Print the summary, or the document."""
        if self._as_json:
            document = {
                **asdict(report),
                "answered": report.answered,
                "unanswered": report.unanswered,
                "notes": self._notes,
                "predictions": [asdict(one) for one in self._predictions],
                "dead_letters": [asdict(one) for one in self._rejections],
            }
            say_json(document)
            return
        say(summary_text(report))
        if report.unanswered and timeout_s and not report.interrupted:
            say(
                f"error: no answer to {report.unanswered} events, and none came for {timeout_s:g} s: "
                "is `stream-infer run` running with this worker.toml?",
                err=True,
            )

    def _print(self, line: str) -> None:
        if not self._as_json:
            say(line)


def prediction_text(prediction: EventPrediction) -> str:
    """Return the line for a prediction: id, label, score, value or values, and the model."""
    parts = [prediction.id]
    if prediction.label is not None:
        parts.append(f"label {prediction.label}")
    if prediction.score is not None:
        parts.append(f"score {prediction.score:.6g}")
    if prediction.value is not None:
        parts.append(f"value {prediction.value:.6g}")
    parts += [f"{name} {value:.6g}" for name, value in (prediction.values or {}).items()]
    return printable("  ".join([*parts, f"model {prediction.model_name} {prediction.model_version}"]))


def rejection_text(rejection: EventRejection) -> str:
    """Return the line for a dead letter: id, class, stage and message."""
    return printable(
        f"{rejection.id}  dead letter {rejection.error_class} ({rejection.stage}): {rejection.message}"
    )


def summary_text(report: SendReport) -> str:
    """Return the last line: how many events were sent, answered and rejected."""
    classes = ", ".join(f"{count} {name}" for name, count in sorted(report.rejected.items()))
    rejected = sum(report.rejected.values())
    return (
        f"sent {report.sent}, answered {report.answered}: {report.predicted} predictions, "
        f"{rejected} dead letters" + (f" ({classes})" if classes else "")
    )
