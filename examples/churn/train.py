"""Train a churn model; write it with its golden rows, its training data, events to send and their outcomes.

The customers are made up, with a fixed seed. Support calls, high fees and rare logins make them leave.
"""

import argparse

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FEATURES = ["plan", "tenure_months", "monthly_fee", "support_calls", "days_since_login", "autopay"]
FEES = {"basic": 10.0, "plus": 20.0, "family": 35.0}


def customers(count: int, seed: int) -> pd.DataFrame:
    """Return customers with their outcome in the column `churned`."""
    draw = np.random.default_rng(seed)
    plan = draw.choice(list(FEES), count, p=[0.5, 0.3, 0.2])
    frame = pd.DataFrame({
        "customer_id": [f"c{seed}-{number}" for number in range(count)],
        "plan": plan,
        "tenure_months": draw.geometric(1 / 20, count),
        "monthly_fee": np.round([FEES[one] for one in plan] + draw.normal(0, 2, count), 2),
        "support_calls": draw.poisson(1.2, count),
        "days_since_login": np.round(draw.exponential(9, count), 1),
        "autopay": draw.random(count) < 0.6,
    })  # fmt: skip
    calls, idle = frame["support_calls"], frame["days_since_login"]
    odds = 1.5 * (calls >= 3) * calls + 0.15 * idle + 0.05 * frame["monthly_fee"]
    odds -= 0.08 * frame["tenure_months"] + 1.5 * frame["autopay"] + 2.0
    frame["churned"] = np.where(draw.random(count) < 1 / (1 + np.exp(-odds)), "yes", "no")
    frame.loc[draw.random(count) < 0.05, "days_since_login"] = np.nan  # never logged in
    return frame


def estimator(kind: str) -> object:
    """Return an untrained pipeline on a data frame with strings, booleans and missing values."""
    plan = (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["plan"])
    if kind == "boosting":
        model = HistGradientBoostingClassifier(random_state=0)
        return make_pipeline(make_column_transformer(plan, remainder="passthrough"), model)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(make_column_transformer(plan, remainder=numbers), LogisticRegression())


def main() -> None:
    """Write model.joblib, golden.csv, training.csv, customers.csv and outcomes.csv."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kind", choices=("logistic", "boosting"), default="logistic")
    kind = options.parse_args().kind

    training, new = customers(5_000, seed=1), customers(2_000, seed=2)
    model = estimator(kind).fit(training[FEATURES], training["churned"])
    joblib.dump(model, "model.joblib")
    training[FEATURES].to_csv("training.csv", index=False)
    training[FEATURES].head(100).to_csv("golden.csv", index=False)
    new[["customer_id", *FEATURES]].to_csv("customers.csv", index=False)
    new[["customer_id", "churned"]].to_csv("outcomes.csv", index=False)
    print(
        f"{kind}: accuracy {model.score(new[FEATURES], new['churned']):.3f} on customers not seen in training"
    )


if __name__ == "__main__":
    main()
