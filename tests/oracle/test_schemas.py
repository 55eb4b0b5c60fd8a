"""JSON Schemas: written files and printed examples are valid, and invalid content is not."""

import json
import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from examples_of_layers import example
from schemas import validate, validator

from manualnn import LAYERS, LOSSES, OPTIMIZERS
from manualnn.engine import Engine
from manualnn.explain import EXAMPLE, explain
from manualnn.oracle.engines import messages
from manualnn.oracle.findings import (
    FAULTS,
    STATUSES,
    CheckResult,
    Diagnosis,
    Entry,
    Excerpt,
    Finding,
)
from manualnn.oracle.protocol.capabilities import RETURNS, Capabilities
from manualnn.oracle.protocol.case import Case, to_base64
from manualnn.oracle.protocol.features import options_of
from manualnn.oracle.protocol.schemas import NAMES, read_schema
from manualnn.oracle.report.report import Report
from manualnn.spec import to_spec

PAGES = files("manualnn.oracle")
CLAIMS = {"layers": ["Linear"], "losses": {"MSELoss": {"reduction": ["sum"]}}}
CASE = Case(
    layers=(vars(options_of({"type": "Linear", "in_features": 1, "out_features": 1})),),
    loss=vars(options_of({"type": "MSELoss"})),
    params={"0.weight": np.ones((1, 1)), "0.bias": np.array([np.inf])},
    x=np.ones((2, 1)),
    t=np.zeros((2, 1)),
)


def defined(name, *path):
    """Return the names of the properties that a schema, or a definition in it, allows."""
    schema = read_schema(name)
    for step in path:
        schema = schema["$defs"][step]
    return set(schema["properties"])


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_complete_and_of_the_draft(name):
    schema = validator(name).schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    references = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))
    assert references == schema["$defs"].keys()
    assert schema["title"]


@pytest.mark.parametrize("mapping", [LAYERS, LOSSES, OPTIMIZERS])
def test_every_feature_of_the_engine_is_valid(mapping):
    for name, kind in mapping.items():
        spec = to_spec(example(name) if mapping is LAYERS else kind())
        key = {id(LAYERS): "layers", id(LOSSES): "loss", id(OPTIMIZERS): "optimizer"}[id(mapping)]
        run = {"layers": [], key: [spec] if key == "layers" else spec}
        validate("run", run)
        with pytest.raises(jsonschema.ValidationError):
            validate("run", json.loads(json.dumps(run).replace(spec["type"], "Nonesuch")))


def test_the_schemas_allow_the_fields_of_the_data_classes():
    names = {
        kind: {field.name for field in fields(kind)}
        for kind in (Capabilities, Case, CheckResult, Diagnosis, Entry, Excerpt, Finding, Report)
    }
    derived = {"schema", "conventions", "relaxations", "counts", "mistakes", "exit_code"}
    assert defined("capabilities", "claims") == names[Capabilities] | {"loss_factor"}
    assert defined("case") == names[Case] | {"protocol"}
    assert defined("report") == names[Report] | derived
    assert defined("report", "check_result") == names[CheckResult]
    assert defined("report", "finding") == names[Finding] - {"calls"} | {"before", "case_id"}
    assert defined("report", "excerpt") == names[Excerpt]
    assert defined("report", "entry") == names[Entry]
    assert defined("report", "diagnosis") == names[Diagnosis]
    assert defined("result") == set(RETURNS)
    assert read_schema("report")["$defs"]["status"]["enum"] == list(STATUSES)
    kinds = read_schema("report")["$defs"]["finding"]["properties"]["kind"]["enum"]
    assert kinds == ["wrong", *FAULTS]


def test_the_conversation_of_the_protocol_is_valid():
    page = PAGES.joinpath("PROTOCOL.md").read_text(encoding="utf-8")
    messages = re.findall(r"^[→←] (.*)$", page, re.MULTILINE)
    assert len(messages) == 5 + 6 + 2  # of an engine, of a single function, of a weight
    replies = re.findall(r'`(\{"type":"(?:skipped|errored)".*?\})`', page)
    assert len(replies) == 2
    for line in messages + replies:
        validate("message", line)


def test_the_answers_of_the_vectors_page_are_valid():
    page = PAGES.joinpath("VECTORS.md").read_text(encoding="utf-8")
    answers = re.findall(r'^ *(\{"id": "R-.*\})$', page, re.MULTILINE)
    assert len(answers) == 2
    for answer in answers:
        validate("answer", answer)


def test_the_runs_of_the_readme_are_valid():
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    runs = re.findall(r"```json\n(.*?)```", readme, re.DOTALL)
    assert runs
    for run in runs:
        validate("run", run)


@pytest.mark.parametrize("form", ["list", "base64"])
def test_what_a_process_is_sent_is_valid(form):
    for message in (messages.HELLO, messages.STOP):
        validate("message", messages.encode(message))
    validate("message", messages.write_request(3, CASE, form))


def test_a_case_is_valid_in_every_form_of_its_arrays():
    validate("case", CASE.to_json())
    validate("case", CASE.but(x=np.ones((0, 1)), t=np.ones((0, 1))).to_json())
    validate("case", CASE.to_json(lambda _, array: to_base64(array)))
    validate("case", CASE.to_json(lambda name, _: {"path": "case.safetensors", "key": name}))


def test_claims_are_valid():
    validate("capabilities", CLAIMS)
    validate("capabilities", Engine().capabilities())


def test_runs_and_explanations_are_valid():
    validate("run", EXAMPLE)
    for options in ({}, {"decimals": 3}, {"weight": "0.weight[1,2]", "lr": 1e300}):
        validate("explanation", explain(**options).to_json())


ONE = json.loads(json.dumps(CASE.to_json()))
SLIPS = {
    "a case without x": ("case", {key: ONE[key] for key in ONE if key != "x"}),
    "a case with a name of its own": ("case", {**ONE, "epochs": 3}),
    "a case of another protocol": ("case", {**ONE, "protocol": 2}),
    "a case in float16": ("case", {**ONE, "dtype": "float16"}),
    "a case of no steps": ("case", {**ONE, "steps": 0}),
    "a case with a word as a number": ("case", {**ONE, "x": [["one"]]}),
    "a layer without its size": ("case", {**ONE, "layers": [{"type": "Linear"}]}),
    "a layer of an unknown name": ("case", {**ONE, "layers": [{"type": "Conv2d"}]}),
    "a loss with an unknown option": ("case", {**ONE, "loss": {"type": "MSELoss", "delta": 1}}),
    "a rule with a word as a rate": ("case", {**ONE, "optimizer": {"type": "SGD", "lr": "fast"}}),
    "an unknown reduction": ("run", {"layers": [], "loss": {"type": "L1Loss", "reduction": "max"}}),
    "an unknown layer claimed": ("capabilities", {**CLAIMS, "layers": ["Conv2d"]}),
    "an unknown option claimed": ("capabilities", {**CLAIMS, "losses": {"MSELoss": {"p": "any"}}}),
    "an unknown claim": ("capabilities", {**CLAIMS, "tolerance": 1e-3}),
    "claims without losses": ("capabilities", {"layers": ["Linear"]}),
    "a gradient under no key": ("result", {"grads": {"weight": [[1.0]]}}),
    "a result of an unknown name": ("result", {"gradients": {}}),
    "a result of nothing": ("result", {}),
    "a reply without a number": ("message", {"type": "ok", "result": {"loss": 1.0}}),
    "a message of an unknown type": ("message", {"type": "fine"}),
    "an answer with neither": ("answer", {"id": "R-7f3a9c01", "dtype": "float64"}),
    "an answer to no vector": ("answer", {"id": "7f3a9c01", "skipped": "no Tanh"}),
    "a failure without checks": (
        "failure",
        {"checks": [], "target": "a:b", "case": ONE, "before": []},
    ),
    "a run without layers": ("run", {"loss": {"type": "MSELoss"}}),
    "half a report": ("report", {"schema": 1}),
    "a manifest without files": ("manifest", {"format": "manualnn conformance vectors"}),
    "a vector without truth": ("vector", {"id": "R-7f3a9c01", "case": ONE}),
    "half an explanation": ("explanation", {"schema": "manualnn.explain/1"}),
}


@pytest.mark.parametrize(("name", "content"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_invalid(name, content):
    with pytest.raises(jsonschema.ValidationError):
        validate(name, content)
