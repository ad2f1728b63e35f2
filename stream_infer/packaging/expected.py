"""The outputs that a package must give: the user's estimator on the user's frame.

Written against scikit-learn's public methods only, independent of `models` on purpose: the golden replay
shows that the two agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_outlier_detector, is_regressor

from stream_infer.common.foreign_code import error_text, raise_interrupt
from stream_infer.flow.errors import Misconfigured, Problem, Refused
from stream_infer.models.frame_builder import Frame
from stream_infer.models.manifest import OutputContract
from stream_infer.models.predict import contract_of
from stream_infer.models.scores import OutputShapeError, Scores, named_values
from stream_infer.packaging.value_names import name_values, refuse_labels

BINARY = 2
_DERIVED = "derive a class from its own, with ClassifierMixin or RegressorMixin of sklearn.base first"


def output_contract(
    estimator: Any,  # noqa: ANN401 - any estimator
    frame: Frame,
    *,
    threshold: float | None,
    class_scores: bool,
    values: Sequence[str] = (),
    primary: str | None = None,
) -> OutputContract:
    """Return the estimator's output contract; raise `Misconfigured` for options it cannot satisfy."""
    if not callable(getattr(estimator, "predict", None)):
        what = f"it holds a {type(estimator).__name__}, which has no predict"
        raise Misconfigured([Problem("MODEL", type(estimator).__name__, what, "give a fitted estimator")])
    if not hasattr(estimator, "__sklearn_tags__"):
        what = "it has no scikit-learn tags, which say whether it is a classifier or a regressor"
        raise Misconfigured([Problem("MODEL", type(estimator).__name__, what, _DERIVED)])
    try:
        answers = estimator.predict(frame)
        if is_classifier(estimator):
            refuse_labels(estimator, answers)
        contract = contract_of(estimator, frame, threshold=threshold, class_scores=class_scores)
    except Misconfigured:
        raise
    except (Refused, OutputShapeError) as error:
        raise _no_answer(estimator, str(error)) from error
    except BaseException as error:
        raise_interrupt(error)
        raise _raises(error, "--golden") from error
    problems = []
    binary = contract.kind == "classifier" and len(contract.classes) == BINARY and contract.score is not None
    if threshold is not None and not (binary and np.isfinite(threshold)):
        what = "a threshold is a number, for a classifier of two classes with a score"
        problems.append(Problem("--threshold", str(threshold), what, "leave --threshold out"))
    if class_scores and contract.score != "probability":
        what = "class scores need a classifier with predict_proba"
        problems.append(Problem("--class-scores", "", what, "leave --class-scores out"))
    if problems:
        raise Misconfigured(problems)
    return name_values(contract, answers, values, primary)


def _no_answer(estimator: object, what: str) -> Misconfigured:
    told = is_classifier(estimator) or is_regressor(estimator) or is_outlier_detector(estimator)
    fix = "give an estimator that answers one label or one number per row" if told else _DERIVED
    return Misconfigured([Problem("MODEL", type(estimator).__name__, what, fix)])


def _raises(error: BaseException, option: str) -> Misconfigured:
    what = f"the model raises on your own sample: {error_text(error)}"
    fix = (
        "give a sample like the data the model was trained on: same columns, same types"
        " (a column that is empty throughout has no type in a CSV)"
    )
    return Misconfigured([Problem(option, "", what, fix)])


def outputs(
    estimator: Any,  # noqa: ANN401 - any estimator
    frame: Frame,
    contract: OutputContract,
    option: str = "--golden",
) -> Scores:
    """Return the outputs of the estimator for `frame`, with the scores of all classes where it has them.

    Raises `Misconfigured` when it raises or returns NaN on the sample of `option`, or no answer for each row.
    """
    try:
        scores = _outputs(estimator, frame, contract)
    except OutputShapeError as error:
        raise _no_answer(estimator, str(error)) from error
    except BaseException as error:
        raise_interrupt(error)
        raise _raises(error, option) from error
    bad = [name for name, column in scores.numbers(contract).items() if not np.isfinite(column).all()]
    if bad:
        count = int((~np.isfinite(scores.numbers(contract)[bad[0]])).sum())
        what = f"the model's {bad[0]} is NaN or infinite for {count} rows of the sample"
        raise Misconfigured([Problem(option, "", what, "leave these rows out, or impute in the pipeline")])
    return scores


def _outputs(estimator: Any, frame: Frame, contract: OutputContract) -> Scores:  # noqa: ANN401 - any estimator
    predicted = np.asarray(estimator.predict(frame))
    if contract.values:
        if predicted.shape != (len(frame), len(contract.values)):
            raise OutputShapeError(
                f"predict gives shape {predicted.shape}, not {len(contract.values)} values"
            )
        return named_values(predicted.astype(np.float64), contract)
    if predicted.shape == (len(frame), 1):
        predicted = predicted[:, 0]
    if predicted.shape != (len(frame),):
        raise OutputShapeError(f"predict gives shape {predicted.shape}, not one output per row")
    if contract.kind == "regressor":
        return Scores(value=predicted.astype(np.float64))
    label = np.array([str(one) for one in predicted], dtype=object)
    if contract.score is None:
        return Scores(label)
    ask = estimator.predict_proba if contract.score == "probability" else estimator.decision_function
    raw = np.asarray(ask(frame), dtype=np.float64)
    score = _of_label(raw, label, contract.classes)
    if contract.threshold is not None:
        label = np.where(score >= contract.threshold, *reversed(contract.classes)).astype(object)
    return Scores(label, score, class_scores=raw if raw.ndim > 1 else None)


def _of_label(
    raw: NDArray[np.float64], label: NDArray[np.object_], classes: Sequence[str]
) -> NDArray[np.float64]:
    """Return the score of the second of two classes; of more, that of the label."""
    if raw.ndim == 1:
        return raw
    if len(classes) == BINARY:
        return raw[:, 1].copy()
    position = {name: index for index, name in enumerate(classes)}
    return raw[np.arange(len(label)), [position[name] for name in label]]
