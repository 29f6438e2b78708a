"""Visits the example `metrics`: scrapes by the strict parser of `prometheus_client`, with `--prometheus FOLDER` also by
`promtool` and a Prometheus server from this folder, which evaluates the expressions of the dashboard. The names in
docs/metrics.md and in the dashboard must be those of the scrapes."""

import http.client
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

TIMEOUT_S = 60
REQUESTS = 50
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def check(actual, expected):
    if actual != expected:
        sys.exit(f"not {expected!r} but {actual!r}")


def fetch(address, path, accept=None):
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    connection.request("GET", path, headers={"accept": accept} if accept else {})
    response = connection.getresponse()
    body = response.read().decode()
    check((path, response.status), (path, 200))
    connection.close()
    return response.headers["content-type"], body


def make_traffic(address):
    for path in ["/"] * REQUESTS + ["/work"] * 3:
        fetch(address, path)


def scrape(address):
    content_type, text = fetch(address, "/metrics", OPEN_METRICS)
    check(content_type, OPEN_METRICS)
    check(text.endswith("\n# EOF\n"), True)
    return {family.name: family for family in parse_open_metrics(text)}


def values(families, kind):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.values()
        if family.type == kind
        for sample in family.samples
    }


def scrape_twice(address):
    make_traffic(address)
    first = scrape(address)
    make_traffic(address)
    second = scrape(address)
    before, after = values(first, "counter"), values(second, "counter")
    check([key for key, value in before.items() if after.get(key, -1) < value], [])

    def total(counters, name, **labels):
        return sum(v for (n, l), v in counters.items() if n == name and labels.items() <= dict(l).items())

    sends = [total(c, "compio_operations_total", kind="send") for c in [before, after]]
    check(sends[1] - sends[0] >= REQUESTS, True)
    moved = [total(c, "compio_operation_bytes_total", kind="send") for c in [before, after]]
    check(moved[1] - moved[0] > REQUESTS * len("Hello\n"), True)
    threads = {dict(labels).get("thread") for _, labels in after}
    check("main" in threads and len(threads) > 1, True)
    return second


def compare_with_page(families):
    """The table of the page, and the families of a scrape."""
    page = pathlib.Path("docs/metrics.md").read_text()
    row = r"^\| `(compio_\w+)` \| (counter|gauge|histogram) \| (\w*) ?\|"
    listed = {(name, kind, unit) for name, kind, unit in re.findall(row, page, re.MULTILINE)}
    suffix = {"counter": "_total", "gauge": "", "histogram": ""}
    found = {(f.name + suffix[f.type], f.type, f.unit) for f in families.values()}
    check(listed, found)
    check(all(f.documentation for f in families.values()), True)


def read_as_text(address, families, programs):
    content_type, text = fetch(address, "/metrics")
    check(content_type, TEXT)
    check({f.name for f in parse_text(text)}, set(families))
    if programs:
        lint = subprocess.run([programs / "promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        check((lint.returncode, lint.stdout, lint.stderr), (0, "", ""))


def expressions():
    dashboard = json.loads(pathlib.Path("docs/grafana/compio.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def check_dashboard(families):
    counters = {f.name + "_total" for f in families.values() if f.type == "counter"}
    gauges = {f.name for f in families.values() if f.type == "gauge"}
    histograms = {f.name + "_bucket" for f in families.values() if f.type == "histogram"}
    used = {name for expression in expressions() for name in re.findall(r"compio_\w+", expression)}
    check(used, counters | gauges | histograms)
    for expression in expressions():
        for name in re.findall(r"(?<!rate\()\b(compio_\w+)", expression):
            check((expression, name in gauges), (expression, True))


class Prometheus:
    def __init__(self, programs, folder, target):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        config = folder / "prometheus.json"
        scrapes = [{"job_name": "compio", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}]
        # JSON is YAML.
        config.write_text(json.dumps({"scrape_configs": scrapes}))
        self.child = subprocess.Popen(
            [
                programs / "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self.address}",
                "--log.level=warn",
            ]
        )

    def get(self, path, **query):
        _, body = fetch(self.address, f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
        return json.loads(body)["data"]

    def query(self, expression):
        return self.get("query", query=expression)["result"]

    def wait_for(self, expression):
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                sys.exit(f"prometheus has ended: {self.child.returncode}")
            try:
                if self.query(expression):
                    return
            except OSError:
                pass  # It does not listen yet.
            time.sleep(0.2)
        sys.exit(f"no result of {expression}")


def scrape_by_prometheus(address, families, programs):
    with tempfile.TemporaryDirectory() as folder:
        server = Prometheus(programs, pathlib.Path(folder), address)
        try:
            server.wait_for("count_over_time(compio_turns_total[1m]) >= 2")
            make_traffic(address)
            server.wait_for(f'sum(increase(compio_operations_total{{kind="send"}}[1m])) >= {REQUESTS / 2}')
            for expression in expressions():
                variables = {"$job": "compio", "$instance": ".*", "$__rate_interval": "1m"}
                for variable, value in variables.items():
                    expression = expression.replace(variable, value)
                check((expression, bool(server.query(expression))), (expression, True))
            known = {f["metric"]: (f["type"], f["unit"]) for f in server.get("targets/metadata")}
            expected = {f.name: (f.type, f.unit) for f in families.values()}
            check({name: known.get(name) for name in expected}, expected)
            check({s["metric"]["job"] for s in server.query("up == 1")}, {"compio"})
        finally:
            server.child.kill()
            server.child.wait()


def main():
    address, *rest = sys.argv[1:]
    programs = pathlib.Path(rest[1]) if rest[:1] == ["--prometheus"] else None
    families = scrape_twice(address)
    compare_with_page(families)
    read_as_text(address, families, programs)
    check_dashboard(families)
    if programs:
        scrape_by_prometheus(address, families, programs)
    print(f"{len(families)} families, {len(expressions())} expressions")


main()
