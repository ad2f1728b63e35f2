"""Asks a model with NVIDIA's client over HTTP, with its defaults: binary tensors.

python triton_http.py HOST:PORT MODEL VERSION COLUMNS.json
"""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

address, model, version, columns = sys.argv[1:]
client = triton.InferenceServerClient(address)
metadata = client.get_model_metadata(model)
inputs = []
for described, data in zip(metadata["inputs"], json.loads(columns), strict=True):
    array = np.array(data, dtype=triton_to_np_dtype(described["datatype"]))
    tensor = triton.InferInput(described["name"], list(array.shape), described["datatype"])
    tensor.set_data_from_numpy(array)
    inputs.append(tensor)
answer = client.infer(model, inputs, request_id="seven")
asked = [triton.InferRequestedOutput("score", binary_data=False)]
chosen = client.infer(model, inputs, model_version=version, outputs=asked).get_response()
try:
    client.infer(model, inputs[:1])
except InferenceServerException as error:
    refused = error.message()
sys.stdout.write(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": client.is_server_ready()
            and client.is_model_ready(model)
            and client.is_model_ready(model, version),
            "extensions": client.get_server_metadata()["extensions"],
            "id": answer.get_response()["id"],
            "label": [one.decode() for one in answer.as_numpy("label").tolist()],
            "score": answer.as_numpy("score").tolist(),
            "class_scores": answer.as_numpy("class_scores").tolist(),
            "chosen": [one["name"] for one in chosen["outputs"]],
            "refused": refused,
        }
    )
)
