"""The files in api/deploy agree with the service, its settings, its metrics and the Dockerfile."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from genre_api import Settings
from tests.api.requests import audio_bytes, upload
from tests.api.test_dockerfile import ROOT, arguments

yaml: Any = pytest.importorskip("yaml")

FOLDER = ROOT / "api" / "deploy"
PROCESS_BYTES = 320 * 2**20
"""Most memory that the process had in docs/speed.md, without the decoders."""

UNITS = {"m": 2**20, "g": 2**30, "Mi": 2**20, "Gi": 2**30}


DOCUMENT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def n_bytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(\w+)", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def settings_of(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a container with these variables and those of the image."""
    image = dict(part.split("=", 1) for part in arguments("ENV")[0].split() if part.startswith("GENRE_"))
    for name, value in {**image, **variables}.items():
        assert name.removeprefix("GENRE_").lower() in Settings.model_fields, name
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.fixture
def compose(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], Settings]:
    services = read("compose.yaml")["services"]
    variables = {**services["genre"]["environment"], "GENRE_API_KEY": "key of the test"}
    return services, settings_of(variables, monkeypatch)


def test_every_published_port_is_one_of_this_machine(compose: tuple[dict[str, Any], Settings]) -> None:
    services, settings = compose
    published = {name: port for name, service in services.items() for port in service.get("ports", ())}
    assert published == {"genre": f"127.0.0.1:8000:{settings.port}", "grafana": "127.0.0.1:3000:3000"}
    assert arguments("EXPOSE") == [str(settings.port)]


def test_compose_has_no_secret_and_no_rights() -> None:
    document = read("compose.yaml")
    for service in document["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "user", "network_mode", "cap_add", "devices", "pid"} & service.keys()
        assert "/var/run/docker.sock" not in str(service.get("volumes"))
        for name, value in service.get("environment", {}).items():
            if "KEY" in name or "PASSWORD" in name:
                assert value.startswith("${"), name
                assert ":?" in value, f"{name} may be left out"
    assert document["services"]["genre"]["read_only"] is True


def test_compose_names_files_that_exist() -> None:
    document = read("compose.yaml")
    build = document["services"]["genre"]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).samefile(ROOT / "api" / "Dockerfile")
    for service in document["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).is_file(), source
                assert volume.endswith(":ro"), volume
            else:
                assert source in document["volumes"]
        assert set(service.get("secrets", ())) <= document["secrets"].keys()


def test_compose_gives_the_memory_and_the_time_that_the_settings_need(
    compose: tuple[dict[str, Any], Settings],
) -> None:
    service, settings = compose[0]["genre"], compose[1]
    uploads = n_bytes(re.findall(r"^/tmp:size=(\w+),", service["tmpfs"][0])[0])
    assert uploads > settings.max_total_bytes
    needed = PROCESS_BYTES + settings.n_workers * settings.decode_memory_bytes + uploads
    assert needed <= n_bytes(service["mem_limit"])
    assert settings.drain_seconds + settings.shutdown_seconds < int(service["stop_grace_period"].removesuffix("s"))


def test_prometheus_reads_the_service(compose: tuple[dict[str, Any], Settings], make_client: Any) -> None:
    services, settings = compose
    [job] = read("prometheus.yaml")["scrape_configs"]
    [[target]] = [config["targets"] for config in job["static_configs"]]
    host, _, port = target.partition(":")
    assert host in services
    assert int(port) == settings.port
    [secret] = services["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert read("compose.yaml")["secrets"][secret]["environment"] == "GENRE_API_KEY"
    client = make_client(api_key=settings.api_key, allowed_hosts=settings.allowed_hosts)
    key = {"Authorization": f"{job['authorization']['type']} key of the test"}
    assert client.get(job["metrics_path"], headers={"Host": target, **key}).status_code == 200
    assert client.get(job["metrics_path"], headers={"Host": target}).status_code == 401
    assert client.get("/readyz", headers={"Host": "127.0.0.1:8000"}).status_code == 200, "the image's HEALTHCHECK"


def test_grafana_finds_its_source_and_its_board(compose: tuple[dict[str, Any], Settings]) -> None:
    [source] = read("grafana/datasource.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == read("prometheus.yaml")["global"]["scrape_interval"]
    [provider] = read("grafana/boards.yaml")["providers"]
    grafana = compose[0]["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    assert mounted["./grafana/genre.json"].rpartition("/")[0] == provider["options"]["path"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == mounted["./grafana/genre.json"]
    board = json.loads((FOLDER / "grafana/genre.json").read_text(encoding="utf-8"))
    sources = [part["datasource"] for panel in board["panels"] for part in (panel, *panel["targets"])]
    sources += [variable["datasource"] for variable in board["templating"]["list"]]
    assert {(one["type"], one["uid"]) for one in sources} == {("prometheus", source["uid"])}
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_board_asks_for_metrics_and_labels_that_the_service_has(client: TestClient) -> None:
    upload(client, audio_bytes())
    upload(client, b"words")
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    labels: dict[str, set[str]] = {"up": {"job", "instance"}}
    for sample in samples:
        labels.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    board = json.loads((FOLDER / "grafana/genre.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = set()
    for expression in expressions:
        assert expression.count("(") == expression.count(")")
        for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", expression):
            asked.add(name)
            assert name in labels, expression
            grouped = re.findall(r"by \((\w+)\)", expression)
            assert {*re.findall(r"(\w+)[=!]", matchers), *grouped} <= labels[name], expression
    routes = {sample.labels["route"] for sample in samples if "route" in sample.labels}
    assert "/api/predict" in routes
    assert any('route=~"/api/(predict|' in expression for expression in expressions)
    ours = {name for name in labels if name.startswith("genre_") and not name.endswith(("_created", "_count", "_sum"))}
    shown = {name.removesuffix("_bucket") for name in asked}
    assert {name.removesuffix("_bucket") for name in ours} - shown <= {"genre_known_tracks"}, "no panel shows it"


Manifest = tuple[dict[str, dict[str, Any]], dict[str, Any], Settings]
"""Objects of the manifest by kind, its one container, and the settings of that."""


@pytest.fixture
def manifest(monkeypatch: pytest.MonkeyPatch) -> Manifest:
    documents = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
    objects = {document["kind"]: document for document in documents}
    assert len(objects) == len(documents)
    [container] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value", "key of the test") for one in container["env"]}
    expanded = {name: value.replace("$(POD_IP)", "10.0.0.7") for name, value in variables.items() if name != "POD_IP"}
    names = [one["name"] for one in container["env"]]
    assert names.index("POD_IP") < names.index("GENRE_ALLOWED_HOSTS"), "only variables above are replaced"
    return objects, container, settings_of(expanded, monkeypatch)


def test_objects_of_the_manifest_belong_together(manifest: Manifest) -> None:
    objects, container, settings = manifest
    assert objects.keys() == {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert objects["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    service, scaler = objects["Service"]["spec"], objects["HorizontalPodAutoscaler"]["spec"]
    assert service["selector"] == labels
    assert service["type"] == "ClusterIP"
    assert service["ports"][0]["targetPort"] == container["ports"][0]["name"]
    assert container["ports"] == [{"name": "http", "containerPort": settings.port}], "no port of the node"
    assert scaler["scaleTargetRef"]["name"] == objects["Deployment"]["metadata"]["name"]
    assert objects["PodDisruptionBudget"]["spec"]["minAvailable"] < scaler["minReplicas"]
    assert objects["Service"]["metadata"]["name"] in settings.allowed_hosts


def test_pods_have_no_rights(manifest: Manifest) -> None:
    objects, container, _ = manifest
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10_000
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "the variables of the Service would be taken for settings"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all("hostPath" not in volume for volume in pod["volumes"])
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    [key] = [one for one in container["env"] if one["name"] == "GENRE_API_KEY"]
    assert key.keys() == {"name", "valueFrom"}, "a key in the manifest"


def test_pods_have_the_memory_and_the_time_that_the_settings_need(manifest: Manifest) -> None:
    objects, container, settings = manifest
    pod, limits = objects["Deployment"]["spec"]["template"]["spec"], container["resources"]["limits"]
    assert PROCESS_BYTES + settings.n_workers * settings.decode_memory_bytes <= n_bytes(limits["memory"])
    assert int(limits["cpu"]) == settings.n_workers
    uploads = n_bytes(pod["volumes"][0]["emptyDir"]["sizeLimit"])
    assert settings.max_total_bytes < uploads <= n_bytes(limits["ephemeral-storage"])
    assert container["volumeMounts"] == [{"name": pod["volumes"][0]["name"], "mountPath": "/tmp"}]
    assert settings.drain_seconds + settings.shutdown_seconds < pod["terminationGracePeriodSeconds"]
    probe = container["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < settings.drain_seconds


def test_probes_are_answered(manifest: Manifest, make_client: Any) -> None:
    _, container, settings = manifest
    client = make_client(api_key=settings.api_key, allowed_hosts=settings.allowed_hosts)
    paths = {}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        request = container[name]["httpGet"]
        assert request["port"] == container["ports"][0]["name"]
        paths[name] = request["path"]
        assert client.get(request["path"], headers={"Host": f"10.0.0.7:{settings.port}"}).status_code == 200
    assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


def test_documented_lines_of_nginx_and_uvicorn_agree_with_the_settings() -> None:
    settings = Settings()

    def value(name: str) -> int:
        [found] = re.findall(rf"{name}[ =](\d+)", DOCUMENT)
        return int(found)

    assert value("client_max_body_size") * 2**20 == settings.max_body_bytes
    assert value("proxy_read_timeout") > settings.request_seconds
    assert re.findall(r"keepalive_timeout (\d+)s", DOCUMENT) == ["5"]
    assert settings.header_seconds > 5
    assert value("--limit-concurrency") == settings.max_connections
    assert value("--timeout-keep-alive") == settings.header_seconds
    assert value("--timeout-graceful-shutdown") == settings.shutdown_seconds
