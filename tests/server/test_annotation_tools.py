"""The annotation tools' own requests, in the shapes in which the tools send them."""

import json
import pathlib
import re

import cassis
import jinja2
import pytest
import requests

from emr_ner_tf.server.annotation_tools.inception import _load as load_cas
from emr_ner_tf.server.annotation_tools.label_studio import read_config
from emr_ner_tf.server.errors import RequestError

ROOT = pathlib.Path(__file__).parents[2]

CONFIG = """
<View>
  <Header value="Mentions"/>
  <Labels name="entities" toName="record">
    <Label value="drug" background="red" predicted_values="one, other"/>
    <Label value="disease"/>
  </Labels>
  <Text name="record" value="$note" granularity="symbol"/>
</View>
"""
LAYER = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"


@pytest.fixture
def tools(local):
    """The function that posts JSON to a path of the tools, and the server."""
    server = local(rest_port=0, annotation_tools=True, max_characters=1024)

    def post(path, document):
        return requests.post(f"http://127.0.0.1:{server.rest_port}{path}", json=document, timeout=60)

    post.server = server
    return post


def tasks(*texts):
    """As Label Studio sends them."""
    return [
        {"id": i, "data": {"note": text, "other": 1}, "annotations": [], "predictions": [], "project": 1}
        for i, text in enumerate(texts, start=1)
    ]


def in_utf7(xml):
    """Returns the same XML declared as UTF-7, in which no `<!` is to be seen."""
    return '<?xml version="1.0" encoding="UTF-7"?>' + xml.encode("utf-7").decode("ascii").replace(
        "<!", "+ADwAIQ-"
    )


def without_declaration(xml):
    return xml.partition("?>")[2] if xml.startswith("<?xml") else xml


def asked(*texts, config=CONFIG):
    params = {"login": None, "password": None, "context": None}
    return {
        "tasks": tasks(*texts),
        "model_version": None,
        "project": "1.1700000000",
        "label_config": config,
        "params": params,
    }


def test_label_studio_connects(tools):
    url = f"http://127.0.0.1:{tools.server.rest_port}/label_studio"
    for path in ("/health", "/"):
        assert requests.get(url + path, timeout=60).json()["status"] == "UP"
    schema = {
        "project": "1.1",
        "schema": CONFIG,
        "hostname": "http://localhost:8080",
        "access_token": "secret",
    }
    assert tools("/label_studio/setup", schema).json() == {"model_version": "1"}
    assert requests.get(url + "/versions", timeout=60).json() == {"versions": ["1"]}
    webhook = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "project": {"id": 1}}
    assert tools("/label_studio/webhook", webhook).status_code == 201


def test_label_studio_predicts(tools):
    text = "𠮷😀x\r\n腹痛xx。"
    answer = tools("/label_studio/predict", asked(text, "", "x" * 3000))
    assert answer.status_code == 200, answer.text
    first, empty, long = answer.json()["results"]
    for prediction in (first, empty, long):
        assert prediction["model_version"] == "1"
    assert (empty["result"], empty["score"]) == ([], None)
    assert first["score"] == pytest.approx(0.5)
    # Code points; the toy's mentions are the letters x.
    assert [(one["value"]["start"], one["value"]["end"]) for one in first["result"]] == [
        (2, 3),
        (7, 8),
        (8, 9),
    ]
    for one in first["result"]:
        names = {key: one[key] for key in ("from_name", "to_name", "type")}
        assert names == {"from_name": "entities", "to_name": "record", "type": "labels"}
        value = one["value"]
        assert value["labels"] == ["drug"]
        assert text[value["start"] : value["end"]] == value["text"] == "x"
        assert one["score"] == pytest.approx(0.5)
    assert len({one["id"] for one in first["result"]}) == 3
    # Longer than a request may be.
    assert len(long["result"]) == 3000


def test_the_deadline_is_that_of_all_texts_together(local):
    # Two calls, of 32 texts and of 8, take half a second each.
    server = local(rest_port=0, annotation_tools=True, page=True, rest_timeout_s=0.7)
    texts = ["slow某某某身份证"] * 40
    for path, document in (
        ("label_studio/predict", asked(*texts)),
        ("page/api/annotate", {"texts": texts}),
    ):
        answer = requests.post(f"http://127.0.0.1:{server.rest_port}/{path}", json=document, timeout=60)
        assert answer.status_code == 504, answer.text
        assert "or start the server with a longer --rest_timeout_s" in answer.json()["error"]
        assert "某某某身份证" not in answer.text


def test_label_studio_gets_a_new_version_without_a_restart(tools, toy_versions):
    config = CONFIG.replace("one, other", "two")
    assert tools("/label_studio/predict", asked("x", config=config)).json()["results"][0]["result"] == []
    toy_versions(2)
    while tools("/label_studio/setup", {"schema": config}).json() != {"model_version": "2"}:
        pass
    (found,) = tools("/label_studio/predict", asked("x", config=config)).json()["results"]
    assert (found["model_version"], len(found["result"])) == ("2", 1)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"tasks": []}, "label_config must be a string"),
        (asked("x", config="<View>"), "not XML at line 1"),
        (asked("x", config="<View/>"), "needs <Labels toName"),
        (asked("x", config="<View>\ud800</View>"), "half of a surrogate pair"),
        (asked("x", config='<!DOCTYPE a [<!ENTITY b "c">]><View/>'), "declares a document type"),
        (asked("x", config=CONFIG.replace("$note", "$text")), "task 0: data must have the text"),
        (asked("x", config=CONFIG.replace("granularity", "valueType")), "no URL is fetched"),
        (asked("x") | {"tasks": {}}, "tasks must be a list"),
        (asked("x") | {"tasks": ["某某某身份证"]}, "task 0: data must have the text"),
    ],
)
def test_label_studio_gets_the_error(tools, document, message):
    answer = tools("/label_studio/predict", document)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert message in answer.json()["error"]
    assert "某某某身份证" not in answer.text


@pytest.mark.parametrize(
    ("query", "spans"),
    [
        ("", [(4, 5), (6, 7)]),
        ("?offset_unit=codepoint", [(2, 3), (4, 5)]),
        ("?offset_unit=grapheme", [(2, 3), (4, 5)]),
    ],
)
def test_doccano(tools, query, spans):
    # doccano puts the text in the place of "{{ text }}", and renders the template of the documents with the answer.
    page = (ROOT / "docs/annotation_tools.md").read_text(encoding="utf-8")
    (template,) = re.findall(r"```jinja\n(.*?)```", page, re.DOTALL)
    answer = tools(f"/doccano{query}", {"text": "𠮷😀x痛x"})
    labels = json.loads(jinja2.Template(template).render(input=answer.json()))
    assert labels == [{"label": "one", "start_offset": start, "end_offset": end} for start, end in spans]


def test_doccano_gets_the_error(tools):
    assert tools("/doccano", {"text": 1}).status_code == 400
    assert tools("/doccano?offset_unit=byte", {"text": "x"}).status_code == 400


def test_another_method_than_a_path_takes(tools):
    # As of a browser that looks whether the server is there.
    url = f"http://127.0.0.1:{tools.server.rest_port}"
    for method, path, allowed in (
        ("GET", "/doccano", "POST"),
        ("GET", "/label_studio/predict", "POST"),
        ("POST", "/label_studio/health", "GET, HEAD"),
    ):
        answer = requests.request(method, url + path, timeout=60)
        assert (answer.status_code, list(answer.json())) == (405, ["error"]), path
        assert sorted(answer.headers["Allow"].split(", ")) == allowed.split(", ")


@pytest.fixture
def inception():
    """The function that makes a request of INCEpTION for a text."""
    types = cassis.TypeSystem()
    layer = types.create_type(LAYER, supertypeName="uima.tcas.Annotation")
    for name, kind in (
        ("value", "String"),
        ("value_score", "Double"),
        ("value_score_explanation", "String"),
        ("inception_internal_predicted", "Boolean"),
    ):
        types.create_feature(layer, name, f"uima.cas.{kind}")

    def make(text, path="predict"):
        cas = cassis.Cas(typesystem=types)
        cas.sofa_string = text
        cas.sofa_mime = "text/plain"
        cas.add(layer(begin=0, end=1, value="annotated"))
        cas.add(layer(begin=0, end=1, value="old", inception_internal_predicted=True))
        document = {"xmi": cas.to_xmi(), "documentId": 1, "userId": "annotator"}
        metadata = {
            "layer": LAYER,
            "feature": "value",
            "projectId": 1,
            "anchoringMode": "tokens",
            "crossSentence": False,
        }
        request = {"metadata": metadata, "typeSystem": types.to_xml()}
        return request | ({"document": document} if path == "predict" else {"documents": [document]})

    make.types = types
    return make


def test_inception(tools, inception):
    text = "𠮷😀x痛x"
    answer = tools("/inception/predict", inception(text))
    assert answer.status_code == 200, answer.text
    xmi = answer.json()["document"]
    # UTF-16 units.
    assert 'begin="4" end="5"' in xmi
    cas = cassis.load_cas_from_xmi(xmi, typesystem=inception.types)
    found = [(one.begin, one.end, one.value) for one in cas.select(LAYER) if one.inception_internal_predicted]
    assert found == [(2, 3, "one"), (4, 5, "one")]
    assert {one.value_score for one in cas.select(LAYER) if one.value == "one"} == {0.5}
    assert [one.value for one in cas.select(LAYER) if not one.inception_internal_predicted] == ["annotated"]
    answer = tools("/inception/train", inception(text, "train"))
    assert (answer.status_code, answer.content) == (204, b"")


def test_inception_gets_the_error(tools, inception):
    good = inception("某某某身份证x")
    for change, message in (
        ({"typeSystem": None}, "typeSystem must be a string"),
        ({"typeSystem": "<a>"}, "cannot be read as a CAS"),
        ({"typeSystem": '<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>'}, "document type"),
        ({"metadata": good["metadata"] | {"layer": "no.such.Type"}}, "lacks the type"),
        ({"metadata": good["metadata"] | {"feature": "no"}}, "lacks the feature no"),
        ({"metadata": []}, "metadata.layer must be a string"),
    ):
        answer = tools("/inception/predict", good | change)
        assert answer.status_code == 400, message
        assert message in answer.json()["error"]
        assert "某某某身份证" not in answer.text


DOCTYPE = '<!DOCTYPE a [<!ENTITY b "c">]>'


@pytest.mark.parametrize("doctype", [DOCTYPE, "<!DOCTYPE a>", '<!DOCTYPE a SYSTEM "file:///etc/hostname">'])
@pytest.mark.parametrize("part", ["xmi", "types"])
@pytest.mark.parametrize("encoded", [str, in_utf7])
def test_a_document_type_in_a_cas_is_refused_in_any_encoding(inception, doctype, part, encoded):
    request = inception("患者x")
    parts = {"xmi": request["document"]["xmi"], "types": request["typeSystem"]}
    parts[part] = encoded(doctype + without_declaration(parts[part]))
    with pytest.raises(RequestError, match="declares a document type"):
        load_cas(**parts)


def test_a_cas_without_a_document_type_is_read_in_any_encoding(inception):
    request = inception("患者x <!DOCTYPE a>")
    xmi, types = (without_declaration(xml) for xml in (request["document"]["xmi"], request["typeSystem"]))
    for encoded in (str, in_utf7):
        assert load_cas(encoded(xmi), encoded(types)).sofa_string == "患者x <!DOCTYPE a>"


@pytest.mark.parametrize(
    "style",
    [
        "<Style><![CDATA[ .a > .b { color: red } ]]></Style>",
        "<!-- <!DOCTYPE a> --><Style> .a { color: red } </Style>",
    ],
)
def test_a_label_configuration_may_have_sections_and_comments(style):
    found = read_config(CONFIG.replace("<View>", f"<View>{style}"))
    assert (found.from_name, found.to_name, found.key) == ("entities", "record", "note")


def test_a_label_configuration_is_read_as_it_was_sent():
    # A string has no encoding left, so what it declares hides nothing.
    with pytest.raises(RequestError):
        read_config(in_utf7(f"{DOCTYPE}<View/>"))
    with pytest.raises(RequestError, match="at most 1048576 characters"):
        read_config(CONFIG + " " * (1 << 20))


def test_without_the_option_there_is_no_tool(local):
    server = local(rest_port=0)
    for path in ("/label_studio/predict", "/doccano", "/inception/predict", "/page/api/annotate"):
        assert (
            requests.post(f"http://127.0.0.1:{server.rest_port}{path}", json={}, timeout=60).status_code
            == 400
        )
