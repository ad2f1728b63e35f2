"""Validates an OpenAPI document, and the examples in it against their schemas.

python openapi.py URL
"""

import json
import sys
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

with urllib.request.urlopen(sys.argv[1]) as answer:  # noqa: S310 - a server of the test
    document = json.load(answer)
validate(document, cls=OpenAPIV31SpecValidator)
checked = 0
for operations in document["paths"].values():
    for content in operations.get("post", {}).get("requestBody", {}).get("content", {}).values():
        if "example" in content:
            schema = {**content["schema"], "components": document["components"]}
            Draft202012Validator(schema).validate(content["example"])
            checked += 1
sys.stdout.write(
    json.dumps({"version": document["openapi"], "paths": list(document["paths"]), "checked": checked})
)
