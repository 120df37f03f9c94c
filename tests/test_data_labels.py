"""Path rules: what they match, what they take from the path, which one wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from data.config import DataConfig
from data.labels import labels_for
from data.store import PageStore
from data.sync import SyncReport, sync_source
from tests.site_server import SiteServer, page

TREE = [{"match": "{product}/{version}/{lang}/**"}]


def labels(path: str, rules: list[dict[str, str]], **more: Any) -> dict[str, str]:
    return labels_for(path, DataConfig.model_validate({"labels": rules, **more}))


def test_without_rules_every_page_has_the_labels_of_the_table() -> None:
    assert labels("a.md", []) == {}
    assert labels("a.md", [], product="Widget", version="2.1") == {"product": "Widget", "version": "2.1"}


def test_one_rule_labels_a_tree() -> None:
    assert labels("widget/2.1/zh-CN/guide/setup.md", TREE) == {"product": "widget", "version": "2.1", "lang": "zh"}
    assert labels("gadget/latest/en/index.html", TREE) == {"product": "gadget", "version": "latest", "lang": "en"}
    assert labels("https://docs.example.com/gadget/v3/en_US/a%20b?x=1", TREE)["version"] == "v3"


@pytest.mark.parametrize(
    ("pattern", "page", "matches"),
    [
        ("widget/**", "widget/a.md", True),
        ("widget/**", "widget/a/b/c.md", True),
        ("widget/**", "widgets/a.md", False),
        ("widget/**", "old/widget/a.md", False),
        ("**/widget/**", "old/er/widget/a.md", True),
        ("**/widget/**", "widget/a.md", True),
        ("/widget/**", "widget/a.md", True),
        ("widget/*.md", "widget/a.md", True),
        ("widget/*.md", "widget/a/b.md", False),
        ("widget/v?/**", "widget/v2/a.md", True),
        ("widget/v?/**", "widget/v21/a.md", False),
        ("**/*.zh.md", "a/b/setup.zh.md", True),
        ("a.b/**", "a-b/c.md", False),
        ("a(b/[c]+/**", "a(b/[c]+/d.md", True),
        ("a{b/**", "a{b/d.md", True),
        ("**", "anything/at/all", True),
        ("https://docs.example.com/old/**", "https://docs.example.com/old/a", True),
        ("https://*.example.com/**", "https://docs.example.com/old/a", True),
        ("https://docs.example.com/old/**", "old/a", False),
        ("产品/**", "产品/设置.md", True),
        ("产品/**", "https://docs.example.com/%E4%BA%A7%E5%93%81/a", True),
    ],
)
def test_a_glob_matches_whole_paths(pattern: str, page: str, matches: bool) -> None:
    assert labels(page, [{"match": pattern, "product": "X"}]) == ({"product": "X"} if matches else {})


@pytest.mark.parametrize(
    "version",
    "2 2.1 2.1.0 v2 V2.1 v10.0.3-rc1 1.x 2.0b3 release-7 r15 18.04 2024-01 4.0.lts latest stable next main LTS".split(),  # noqa: SIM905
)
def test_what_looks_like_a_version(version: str) -> None:
    assert labels(f"widget/{version}/a.md", [{"match": "{product}/{version}/**"}]).get("version") == version


@pytest.mark.parametrize("part", ["guide", "2fa", "10-ways-to-fail", "api", "v", "step1", "index.md", "1" * 5000 + "!"])
def test_what_does_not_look_like_a_version(part: str) -> None:
    assert labels(f"widget/{part}/a.md", [{"match": "{product}/{version}/**"}]) == {}


def test_a_file_beside_the_versions_is_none_of_them() -> None:
    assert labels("widget/2.1", [{"match": "{product}/{version}/**"}]) == {}
    assert labels("https://d.example/widget/2.1/", [{"match": "{product}/{version}/**"}])["version"] == "2.1"


@pytest.mark.parametrize(
    ("part", "lang"), [("en", "en"), ("zh-cn", "zh"), ("zh_Hant_TW", "zh"), ("pt-BR", "pt"), ("cn", "zh"), ("ui", "")]
)
def test_only_language_codes_are_languages(part: str, lang: str) -> None:
    assert labels(f"docs/{part}/a.md", [{"match": "docs/{lang}/**"}]).get("lang", "") == lang


def test_part_of_a_name_can_be_taken() -> None:
    rules = [{"match": "{product}-v{version}/**"}, {"match": "**/*.{lang}.md"}]
    assert labels("wid-get-v2.1/a.zh.md", rules) == {"product": "wid-get", "version": "2.1", "lang": "zh"}


def test_every_rule_that_matches_adds_and_a_later_one_wins() -> None:
    rules = [
        {"match": "{product}/{version}/**"},
        {"match": "wdgt/**", "product": "Widget"},
        {"match": "**/cn/**", "lang": "zh-CN"},
    ]
    assert labels("wdgt/2.1/cn/a.md", rules) == {"product": "Widget", "version": "2.1", "lang": "zh"}
    assert labels("wdgt/2.1/a.md", rules[::-1])["product"] == "wdgt"
    assert labels("other/a.md", rules, product="Default") == {"product": "Default"}
    assert labels("wdgt/a.md", rules, product="Default", version="1") == {"product": "Widget", "version": "1"}


def test_the_base_url_is_no_part_of_the_path() -> None:
    page = "https://example.com/docs/widget/2.1/a.md"
    assert labels(page, [{"match": "widget/**", "product": "W"}], base_url="https://example.com/docs/") == {
        "product": "W"
    }
    assert labels(page, [{"match": "docs/widget/**", "product": "W"}]) == {"product": "W"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"match": "widget/**"}, "sets no label"),
        ({"product": "Widget"}, "needs match"),
        ({"match": "{prodct}/**"}, "can take {product}, {version}, {lang}"),
        ({"match": "{product}/{product}/**"}, "names the same label twice"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_an_error(rule: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("{", r"\{").replace("}", r"\}")):
        DataConfig.model_validate({"labels": [rule]})


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400)])
def test_refresh_is_a_time(text: str, seconds: float) -> None:
    assert DataConfig(refresh=text).refresh_s == seconds


@pytest.mark.parametrize("text", ["6", "h", "-1h", "0h", "6 hours", "1w"])
def test_refresh_that_is_no_time(text: str) -> None:
    with pytest.raises(ValidationError, match="30m, 6h or 1d"):
        DataConfig(refresh=text)


def test_a_changed_rule_labels_a_web_site_anew_without_fetching_a_text(tmp_path: Path) -> None:
    store = PageStore(tmp_path / "pages.sqlite")

    def sync(*rules: dict[str, str]) -> SyncReport:
        quick = {"retries": 0, "requests_per_second": 10_000, "allow_hosts": (site.host,)}
        return sync_source(f"{site.url}/", store, DataConfig.model_validate({**quick, "labels": list(rules)}))

    def given() -> dict[str, tuple[str, str]]:
        return {p.url.removeprefix(site.url): (p.labels.get("version", ""), p.lang) for p in store.pages()}

    with SiteServer() as site:
        site["/"] = page("Start", "/widget/2.1/en/a", "/widget/2.1/zh-cn/a")
        site["/widget/2.1/en/a"], site["/widget/2.1/zh-cn/a"] = page("A"), page("Another A")
        sync(*TREE)
        labelled = {"/": ("", "en"), "/widget/2.1/en/a": ("2.1", "en"), "/widget/2.1/zh-cn/a": ("2.1", "zh")}
        assert given() == labelled
        site.forget_counts()
        report = sync({"match": "widget/**", "version": "2"})
        assert given() == {"/": ("", "en"), "/widget/2.1/en/a": ("2", "en"), "/widget/2.1/zh-cn/a": ("2", "en")}
        assert (len(report.changed), len(report.unchanged), site.bodies.total()) == (2, 1, 0)
        site["/widget/2.1/en/a"] = 503
        report = sync(*TREE)
        assert (given(), len(report.changed), len(report.failed)) == (labelled, 2, 1)
        assert not sync(*TREE).touched
