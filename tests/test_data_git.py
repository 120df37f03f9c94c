"""A git repository as a source, with the real git program; what is no plain repository address is refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from data.config import DataConfig
from data.errors import RefusedAddress, SourceError, UnreachableSource
from data.git import Repository, parse
from data.source import kind_of
from data.store import PageStore
from data.sync import forget_source, sync_source


@pytest.fixture
def store(tmp_path: Path) -> PageStore:
    return PageStore(tmp_path / "home" / "pages.sqlite")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A checkout with two pages, pushed to the bare repository docs.git beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "docs.git")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", str(tmp_path / "docs.git"))
    write(folder, {"README.md": "# Readme\n\nAbout.", "docs/en/a.md": "# A\n\nFirst page."})
    return folder


def git(folder: Path, *arguments: str) -> None:
    names = {
        f"GIT_{role}_{field}": "docs@docs.example" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")
    }
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env={**os.environ, **names})


def write(folder: Path, files: dict[str, str], branch: str = "main") -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Write")
    git(folder, "push", "-q", "origin", f"HEAD:{branch}")


def test_first_second_and_third_sync(work: Path, store: PageStore) -> None:
    source = str(work.parent / "docs.git")
    first = sync_source(source, store, DataConfig())
    assert (first.added, first.source) == (["README.md", "docs/en/a.md"], source)
    assert sync_source(source, store, DataConfig()).touched is False
    write(work, {"docs/en/a.md": "# A\n\nFirst page, improved.", "docs/en/b.md": "# B\n\nNew."})
    git(work, "rm", "-q", "README.md")
    write(work, {})
    third = sync_source(source, store, DataConfig())
    assert (third.added, third.changed, third.removed) == (["docs/en/b.md"], ["docs/en/a.md"], ["README.md"])
    assert [summary.source for summary in store.sources()] == [source]
    assert forget_source(source, store) == 2


def test_branch_and_subfolder(work: Path, store: PageStore) -> None:
    git(work, "checkout", "-q", "-b", "v2")
    write(work, {"docs/en/a.md": "# A\n\nSecond version."}, branch="v2")
    source = f"{work.parent / 'docs.git'}#v2:docs/en"
    report = sync_source(source, store, DataConfig(base_url="https://docs.example.com/v2"))
    assert (report.added, report.source) == (["https://docs.example.com/v2/a.md"], source)
    page = store.find("https://docs.example.com/v2/a.md")
    assert page is not None
    assert (page.body, page.source) == ("Second version.", source)


def test_only_the_newest_state_is_fetched(work: Path, store: PageStore) -> None:
    for number in range(5):
        write(work, {"docs/en/a.md": f"# A\n\nVersion {number}."})
    sync_source(str(work.parent / "docs.git"), store, DataConfig())
    (checkout,) = (store.path.parent / "cache" / "git").iterdir()
    commits = subprocess.run(
        ["git", "rev-list", "--all", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
    )
    assert len(commits.stdout.split()) == 1


def test_a_repository_cannot_read_files_of_this_machine(work: Path, store: PageStore, tmp_path: Path) -> None:
    """A link in a repository that leads out of it becomes a text file with the link's target."""
    (tmp_path / "secret.md").write_text("# Secret\n\nThe password.", encoding="utf-8")
    (work / "leak.md").symlink_to(tmp_path / "secret.md")
    (work / "etc").symlink_to("/etc")
    write(work, {"c.md": "# C\n\nThird."})
    sync_source(str(work.parent / "docs.git"), store, DataConfig())
    assert not [page for page in store.pages() if "password" in page.body or page.url.startswith("etc/")]


@pytest.mark.parametrize(
    "source",
    [
        "ext::sh -c touch% /tmp/owned",
        "git+ext::sh -c id",
        "git+https://-oProxyCommand=id/x.git",
        "ssh://-oProxyCommand=id/x.git",
        "git+ssh://-oProxyCommand=id/x",
        "https://user:secret@git.example.com/docs.git",
        "git://git.example.com/docs.git",
        "file:///etc/docs.git",
        "fd::17",
        "https://git.example.com/docs.git#--upload-pack=id",
        "https://git.example.com/docs.git#main:../../etc",
        "https://git.example.com/docs.git#main:/etc",
        "https://git.example.com/docs.git#main:.git",
        "https://git.example.com/do cs.git",
    ],
)
def test_addresses_that_run_commands_or_leave_the_repository(source: str, store: PageStore) -> None:
    with pytest.raises(SourceError):
        sync_source(source, store, DataConfig())
    assert not (store.path.parent / "cache").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "10.0.0.1", "[::1]", "0x7f.1"])
def test_private_hosts_are_refused(host: str, store: PageStore) -> None:
    with pytest.raises(RefusedAddress):
        sync_source(f"https://{host}/docs.git", store, DataConfig())


def test_what_a_source_is() -> None:
    kinds = {
        "https://git.example.com/org/docs.git": "git",
        "https://git.example.com/org/docs.git#main:docs": "git",
        "git+https://git.example.com/org/docs": "git",
        "git@git.example.com:org/docs.git": "git",
        "ssh://git@git.example.com/docs": "git",
        "https://docs.example.com/guide": "web",
        "HTTP://docs.example.com": "web",
        "docs/": "folder",
        "C#/docs": "folder",
    }
    assert {source: kind_of(source) for source in kinds} == kinds
    assert parse("git+https://h.example/docs#v1.2:a/b/") == Repository("https://h.example/docs", "v1.2", "a/b")
    assert parse("git@h.example:org/docs.git").url == "git@h.example:org/docs.git"


def test_errors_say_what_to_do(work: Path, store: PageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = str(work.parent / "docs.git")
    sync_source(repository, store, DataConfig())
    with pytest.raises(UnreachableSource, match=r"git says: .*nothere.*check address, branch"):
        sync_source(f"{repository}#nothere", store, DataConfig())
    with pytest.raises(SourceError, match="no folder 'nowhere' in the repository"):
        sync_source(f"{repository}#main:nowhere", store, DataConfig())
    monkeypatch.setattr("data.git.shutil.which", lambda name: None)
    with pytest.raises(SourceError, match=r"git is not installed; install it, or"):
        sync_source(repository, store, DataConfig())
    assert store.count() == 2


def test_an_https_server_that_is_no_git_server(store: PageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way over http, pinned to the checked address: a real server that answers 404."""
    from tests.site_server import SiteServer

    with SiteServer() as site:
        config = DataConfig(allow_hosts=(site.host,))
        with pytest.raises(UnreachableSource, match="git says"):
            sync_source(f"{site.url}/docs.git", store, config)
        assert any("info/refs" in path for path in site.requests)
