"""The OpenAPI document is valid, and real answers have the shapes that it tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from data.home import Home
from rag.build import build_index
from rag.config import RagConfig
from serving.api import models
from tests.client_gateway import scripted_gateway
from tests.fakes import ScriptedEngine
from tests.test_serving_gateway import PAGES, PORT_QUESTION


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = Home(tmp_path_factory.mktemp("openapi"))
    build_index(PAGES, home, RagConfig())
    with scripted_gateway(home, ScriptedEngine("<think>Hm.</think>Port 7860 [1].")) as url:
        yield url


@pytest.fixture(scope="module")
def document(url: str) -> dict[str, Any]:
    body: dict[str, Any] = httpx.get(f"{url}/v1/openapi.json").json()
    return body


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_route_tells_its_errors_and_no_other_shape(document: dict[str, Any]) -> None:
    api = {path: methods for path, methods in document["paths"].items() if path.startswith("/v1/")}
    operations = [(path, each) for path, methods in api.items() for each in methods.values()]
    for path, operation in operations:
        told = set(operation["responses"])
        assert {"4XX", "5XX"} <= told, path
        assert told & {"200", "202"}, path
        assert "422" not in operation["responses"], path
        shape = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
        assert shape == {"$ref": "#/components/schemas/ErrorBody"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "ChatCompletion"),
        ("/v1/responses", "ResponseOut"),
        ("/v1/search", "SearchResults"),
        ("/v1/models", "ModelList"),
        ("/v1/labels", "LabelList"),
        ("/v1/me", "Me"),
    ],
)
def test_real_answers_have_the_shapes_that_it_tells(url: str, document: dict[str, Any], path: str, name: str) -> None:
    messages = [{"role": "user", "content": PORT_QUESTION}]
    body = {"model": "rag", "messages": messages, "input": PORT_QUESTION, "query": PORT_QUESTION}
    method = next(iter(document["paths"][path]))
    told = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    assert told == {"$ref": f"#/components/schemas/{name}"}
    answer = httpx.request(method.upper(), f"{url}{path}", json=body if method == "post" else None).json()
    model = getattr(models, name)
    assert model.model_validate(answer).model_dump(exclude_unset=True, mode="json") == answer
    error = httpx.post(f"{url}/v1/search", json={}).json()
    assert models.ErrorBody.model_validate(error).model_dump() == error


def test_the_examples_are_answered(url: str, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for path, schema in (("/v1/chat/completions", "ChatRequest"), ("/v1/responses", "ResponseRequest")):
        assert httpx.post(f"{url}{path}", json=schemas[schema]["example"]).status_code == 200
