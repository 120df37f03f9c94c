"""Questions that sound right and have no answer in the docs: a refusal. Each is checked to stand nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.prompts import refusal_text
from sft.rules.facts import Definition
from sft.rules.scene import Scene
from sft.rules.text import number_of, shuffled
from sft.types import Sample

ONE_IN = 6
"""One made-up option for so many real ones; and of four pages one is asked about a product that nobody mentions."""

TECH = (
    "Salesforce", "SAP HANA", "Jira", "ServiceNow", "Grafana", "Splunk", "Datadog", "Snowflake", "Terraform", "Ansible",
    "Jenkins", "RabbitMQ", "Apache Kafka", "MongoDB", "Cassandra", "Elasticsearch", "Zendesk", "Power BI", "Tableau",
    "HashiCorp Vault", "Okta", "Keycloak", "Airflow", "Databricks", "WordPress", "Shopify", "Stripe", "Twilio", "MQTT",
    "Microsoft Teams", "Notion", "Oracle Database", "Hadoop YARN", "Prometheus", "Nginx", "LDAP", "COBOL", "MATLAB",
)  # fmt: skip


def samples(scene: Scene) -> Iterator[Sample]:
    yield from _made_up_options(scene)
    yield from _unknown_products(scene)


def _made_up_options(scene: Scene) -> Iterator[Sample]:
    named = [
        one for listed in scene.definitions.values() for one in listed if one.name and re.search(r"[_-]\w", one.term)
    ]
    parts = sorted(
        {
            part
            for one in named
            for part in re.split(r"[_-]+", one.term.strip("-").lower())
            if len(part) > 2 and part.isalpha()
        }
    )
    for definition in named:
        if len(parts) < 8 or number_of("missing", definition.document.page.url, definition.term) % ONE_IN:
            continue
        term = _mutated(scene, definition, parts)
        place = scene.place(definition.document, definition.section)
        slots = {"t": f"`{term}`", "c": place}
        asked = scene.language.ask("missing", term, bool(place), **slots) if term else []
        for question in scene.unused(asked):
            yield _refused(scene, definition, question)


def _mutated(scene: Scene, definition: Definition, parts: list[str]) -> str:
    """The name with its last part changed for another option's, so that it stands nowhere; "" when that fails."""
    dashes = re.match(r"-*", definition.term)[0]  # type: ignore[index]
    name = definition.term[len(dashes) :]
    stem = re.split(r"[_-](?=[^_-]*$)", name)
    joint = name[len(stem[0])] if len(stem) == 2 else "_"
    for part in shuffled(parts, definition.term)[:12]:
        mutated = f"{stem[0]}{joint}{part.upper() if name.isupper() else part}"
        plain = mutated.lower().replace("-", "_")
        if (
            part not in stem[0].lower()
            and plain not in scene.corpus.identifiers
            and mutated.lower() not in scene.corpus.text
        ):
            return f"{dashes}{mutated}"
    return ""


def _unknown_products(scene: Scene) -> Iterator[Sample]:
    unknown = [tech for tech in TECH if tech.lower() not in scene.corpus.text]
    for document in scene.documents:
        subject, url = document.subject, document.page.url
        if not subject or not document.page.body.strip() or not unknown or number_of("tech", url) % 4:
            continue
        tech = shuffled(unknown, url)[0]
        for question in scene.unused(scene.language.ask("missing-tech", url, c=subject, tech=tech)):
            yield scene.sample("unanswerable", [(question, refusal_text(scene.lang))], [document], f"tech:{tech}", "")


def _refused(scene: Scene, near: Definition, question: str) -> Sample:
    family = f"missing:{near.term.lstrip('-').lower()}"
    return scene.sample("unanswerable", [(question, refusal_text(scene.lang))], [near.document], family, "")
