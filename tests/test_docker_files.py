"""docker/: what is safe, pinned and true in the Dockerfiles and compose files, without a Docker daemon."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[1]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
COMPOSE = sorted((ROOT / "docker").glob("*.yaml"))
IMAGE = re.compile(r"[\w./-]+:\d[\w.-]*\d[\w.-]*(@sha256:\w{64})?")  # a version with a number in it, never latest


def parsed(path: Path) -> DockerfileParser:
    return DockerfileParser(fileobj=path.open("rb"), env_replace=False)


def steps(path: Path, instruction: str) -> list[str]:
    return [step["value"] for step in parsed(path).structure if step["instruction"] == instruction]


def services(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["services"]
    return found


EVERY_SERVICE = [
    pytest.param(path, name, id=f"{path.stem}-{name}") for path in COMPOSE for name in sorted(services(path))
]


def test_all_are_here() -> None:
    assert {path.name for path in DOCKERFILES} == {"gateway.Dockerfile", "engine.Dockerfile", "trainer.Dockerfile"}
    assert {path.stem for path in COMPOSE} == {"laptop", "single-gpu", "cluster"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_is_pinned_unprivileged_and_watched(path: Path) -> None:
    stages = [value.split(" AS ")[0] for value in steps(path, "FROM")]
    assert all(IMAGE.fullmatch(base) for base in stages), stages
    last = path.read_text().rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)$", last, re.M) == ["10001"]
    assert last.count("HEALTHCHECK") == 1
    assert "PYTHONSAFEPATH=1" in last
    assert 'ENTRYPOINT ["entrypoint"' in last


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_names_no_host_and_no_secret(path: Path) -> None:
    code = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    assert set(re.findall(r"https?://([^/:\"']+)", code)) <= {"127.0.0.1"}
    assert not re.search(r"(?i)^(ENV|ARG) .*(password|token|secret|api_key)", code, re.M)
    assert "ADD " not in code


def test_secrets_do_not_reach_a_build() -> None:
    rules = (ROOT / ".dockerignore").read_text().split()
    assert rules.index("docker/secrets") > rules.index("!docker"), "the last rule that fits wins"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_what_an_image_copies_is_in_the_build_context(path: Path) -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for value in steps(path, "COPY"):
        if not value.startswith("--from="):
            for source in value.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source == "." or source.split("/")[0] in kept, source
    packages = re.search(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.M)
    assert packages
    assert set(re.findall(r'"([^"]+)"', packages[1])) <= set(kept)  # the wheel that is built from it is whole


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    subprocess.run([hadolint, "-c", ROOT / ".hadolint.yaml", *DOCKERFILES], check=True)


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_compose_files_hold_to_their_schema(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_what_services_use_is_declared(path: Path) -> None:
    """What the schema does not see: volumes, networks and secrets by name, and conditions that can come true."""
    whole = yaml.safe_load(path.read_text())
    for name, service in whole["services"].items():
        named = {str(volume).split(":")[0] for volume in service.get("volumes", [])}
        named = {volume for volume in named if re.fullmatch(r"[a-z]\w*", volume)}
        assert named <= set(whole.get("volumes", {})), name
        assert set(service.get("networks", [])) <= set(whole.get("networks", {})), name
        assert set(service.get("secrets", [])) <= set(whole.get("secrets", {})), name
        for other, how in service.get("depends_on", {}).items():
            assert other in whole["services"], name
            healthy = "healthcheck" in whole["services"][other] or "build" in whole["services"][other]
            assert how["condition"] == "service_started" or healthy, name


@pytest.mark.parametrize(("path", "name"), EVERY_SERVICE)
def test_a_service_is_pinned_limited_and_watched(path: Path, name: str) -> None:
    service = services(path)[name]
    assert IMAGE.fullmatch(service["image"])
    if "build" in service:
        dockerfile = ROOT / service["build"]["dockerfile"]
        assert dockerfile in DOCKERFILES
        assert service["image"].startswith(f"docduet-{dockerfile.stem}:")
    assert "build" in service or "healthcheck" in service  # our images bring their own
    assert service["restart"] == "unless-stopped"
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert not service.get("privileged")
    for key, value in (service.get("environment") or {}).items():
        secret = re.search(r"PASSWORD|TOKEN|KEY$|SECRET", key)
        assert not secret or key.endswith("_FILE") or str(value).startswith("${"), key
        assert "@" not in str(value) or not re.search(r"://[^/@]*:[^/@]*@", str(value)), key
    for port in service.get("ports", []):
        assert port.startswith(("127.0.0.1:", "${DOCDUET_LISTEN:-127.0.0.1}:"))  # open to others only when said so


@pytest.mark.parametrize(("path", "name"), EVERY_SERVICE)
def test_engines_have_a_gpu_and_are_out_of_reach(path: Path, name: str) -> None:
    service = services(path)[name]
    devices = service["deploy"]["resources"].get("reservations", {}).get("devices", [])
    assert bool(devices) == name.startswith("engine")
    if devices:
        assert devices[0]["driver"] == "nvidia"
        assert "ports" not in service
        assert "front" not in service["networks"]


@pytest.mark.parametrize(("path", "name"), EVERY_SERVICE)
def test_settings_are_real(path: Path, name: str) -> None:
    from rag.config import RagConfig
    from serving.config import ServingConfig

    tables = {"RAG": RagConfig, "SERVING": ServingConfig}
    for key in services(path)[name].get("environment") or {}:
        if key.startswith("DOCDUET__"):
            _, table, field = key.split("__")
            assert field.lower() in tables[table].model_fields, key


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_a_gateways_command_is_real(path: Path) -> None:
    everything = services(path)
    command = everything.get("gateway", everything.get("gateway-1", {}))["command"]
    words = command if isinstance(command, list) else re.sub(r"\$\{\w+-(.*?)\}", r"\1", command).split()
    run = [sys.executable, "-m", "docduet", *words, "--help"]
    said = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert re.search(r"Usage: docduet\S* serve", said)


def test_the_cluster_profile_is_the_cluster_compose_file() -> None:
    import tomllib

    profile = tomllib.loads((ROOT / "data/profiles/cluster.toml").read_text())
    (engine,) = profile["serving"]["engines"]
    everything = services(ROOT / "docker/cluster.yaml")
    serve = " ".join(everything["engine-1"]["command"])
    assert f"--served-model-name={engine['name']}" in serve
    proxied = re.findall(r"server (\S+?):7860", (ROOT / "docker/nginx.conf").read_text())
    assert set(proxied) == {name for name in everything if name.startswith("gateway-")}
    shared = [everything[name]["environment"] for name in ("gateway-1", "gateway-2", "builder")]
    assert shared[0] == shared[1] == shared[2]


def test_secrets_come_as_files(tmp_path: Path) -> None:
    """docker/entrypoint.sh, with another folder in the place of /run/secrets."""
    script = tmp_path / "entrypoint"
    script.write_text(
        (ROOT / "docker/entrypoint.sh")
        .read_text()
        .replace(r"\/run\/secrets", re.escape(str(tmp_path)).replace("/", r"\/"))
    )
    (tmp_path / "word").write_text('it\'s "$(odd)" & long\n')
    env = {"PATH": "/usr/bin:/bin", "PGPASSWORD_FILE": f"{tmp_path}/word", "SSL_CERT_FILE": "/etc/ssl/cert.pem"}
    show = ["sh", str(script), "sh", "-c", 'printf "%s|%s|%s" "$PGPASSWORD" "$SSL_CERT_FILE" "${PGPASSWORD_FILE-none}"']
    said = subprocess.run(show, env=env, capture_output=True, text=True, check=True)
    assert said.stdout == 'it\'s "$(odd)" & long|/etc/ssl/cert.pem|none'
    env["PGPASSWORD_FILE"] = f"{tmp_path}/nothing"
    said = subprocess.run(show, env=env, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "PGPASSWORD_FILE" in said.stderr
