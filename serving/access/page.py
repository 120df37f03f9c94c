"""The sign-in page as HTML: a link to single sign-on where there is one, a field for a key, what went wrong. Pure.

No server ever sees what stands behind the "#" of an address, such as the conversation in ``/#chat/ID``. Browsers keep
it when they are sent to this page, and the page's one script puts it where signing in will lead.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from urllib.parse import urlencode

from serving.access.doors import MAX_BACK

SCRIPT = f"""
const field = document.querySelector("[name=next]");
const back = field.value + location.hash;
if (!field.value.includes("#") && back.length <= {MAX_BACK}) field.value = back;
const link = document.querySelector(".sso");
if (link && field.value !== "/") link.search = new URLSearchParams({{ next: field.value }});
if (link?.dataset.go === "") location.replace(link.href);
"""
_SCRIPT_HASH = b64encode(sha256(SCRIPT.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; style-src 'unsafe-inline'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
PROBLEMS = ("wrong", "denied", "state", "clock", "provider", "not_allowed", "rejected", "failed")
_WORDS = {
    "en": {
        "title": "Sign in to DocDuet",
        "sso": "Single sign-on",
        "sso_with": "Sign in with {name}",
        "or": "or with a key",
        "key": "Your key",
        "enter": "Sign in",
        "hint": "Whoever runs DocDuet gives you a key. It begins with dd_.",
        "wrong": "This key is unknown or revoked. Check it, or ask for a new one.",
        "denied": "The sign-in was cancelled or refused there. You can try again.",
        "state": "This sign-in is too old, or was begun again in another tab. Please begin once more.",
        "clock": "The clocks of DocDuet and of your company's sign-in do not agree. Try again; if it stays so, tell "
        "whoever runs DocDuet.",
        "provider": "Your company's sign-in does not answer just now. Try again in a moment.",
        "not_allowed": "You have signed in, but this account may not use DocDuet. Ask whoever runs it.",
        "rejected": "The sign-in could not be confirmed. Try again; if it stays so, tell whoever runs DocDuet.",
        "failed": "Something unexpected happened; DocDuet's log says more. You can try again.",
        "signed_out": "You are signed out.",
    },
    "zh": {
        "title": "登录 DocDuet",
        "sso": "单点登录",
        "sso_with": "使用 {name} 登录",
        "or": "或使用密钥",
        "key": "你的密钥",
        "enter": "登录",
        "hint": "请向 DocDuet 的管理员索取密钥，密钥以 dd_ 开头。",
        "wrong": "该密钥不存在或已被吊销。请检查后重试，或索取新的密钥。",
        "denied": "登录已取消或被拒绝。你可以重试。",
        "state": "这次登录已过期，或者已在另一个标签页中重新开始。请重新登录。",
        "clock": "DocDuet 与公司登录服务的时钟不一致。请重试；如果仍然如此，请告诉 DocDuet 的管理员。",
        "provider": "公司的登录服务暂时没有响应。请稍后重试。",
        "not_allowed": "登录成功，但这个账号无权使用 DocDuet。请联系管理员。",
        "rejected": "无法确认这次登录。请重试；如果仍然如此，请告诉 DocDuet 的管理员。",
        "failed": "发生了意外错误，详情见 DocDuet 的日志。你可以重试。",
        "signed_out": "你已退出登录。",
    },
}
_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; font-family: system-ui, "Noto Sans", "PingFang SC", "Microsoft YaHei", sans-serif }}
body {{ display: grid; place-content: center; min-height: 90vh; margin: 0 16px;
  background: light-dark(#faf9f7, #15181a); color: light-dark(#1f2421, #e7eae8) }}
main, form {{ display: grid; gap: 12px; width: min(360px, 90vw) }}
h1 {{ font-size: 1.3rem; margin: 0 }}
p {{ margin: 0; font-size: .9rem; line-height: 1.45; color: light-dark(#5f6862, #a1aaa5) }}
.wrong, .note {{ padding: 10px 12px; border-radius: 10px; color: light-dark(#8c2727, #f4b0aa);
  background: light-dark(#fcecea, #3a2322) }}
.note {{ color: light-dark(#22655f, #a8dbd4); background: light-dark(#e0eeec, #1f3a38) }}
.or {{ display: flex; align-items: center; gap: 10px; margin: 6px 0 }}
.or::before, .or::after {{ content: ""; flex: 1; border-top: 1px solid light-dark(#e3dfd8, #353b40) }}
label {{ font-weight: 600; font-size: .95rem }}
input, button, .sso {{ font: inherit; padding: 10px 12px; border-radius: 10px; color: inherit; box-sizing: border-box;
  border: 1px solid light-dark(#8b8478, #6d767c); background: light-dark(#fff, #1d2124) }}
button, .sso {{ cursor: pointer; text-align: center; text-decoration: none }}
.main {{ background: light-dark(#22655f, #7fc8bf); color: light-dark(#fff, #10201e); border-color: transparent }}
:focus-visible {{ outline: 3px solid light-dark(#22655f, #7fc8bf); outline-offset: 2px }}
</style></head><body><main>
<h1>{title}</h1>
{said}{sso}
<form method="post" action="{action}">
<label for="key">{key}</label>
<input id="key" name="key" type="password" autocomplete="current-password" required{focus}>
<input type="hidden" name="next" value="{back}">
<button{main}>{enter}</button>
<p>{hint}</p>
</form></main><script>{script}</script></body></html>"""


def page_html(
    accept_language: str,
    action: str,
    back: str,
    said: str = "",
    sso: str | None = None,
    provider: str = "",
    go: bool = False,
) -> str:
    """The page. ``back``: where to go afterwards; ``said``: one of PROBLEMS, "signed_out" or "".

    ``sso``: where single sign-on begins, None without it; ``provider``: what it is called; ``go``: there at once.
    """
    lang = "zh" if accept_language.lower().startswith("zh") else "en"
    words = _WORDS[lang]
    plain = {name: escape(words[name]) for name in ("title", "key", "enter", "hint")}
    return _PAGE.format(
        lang=lang,
        action=escape(action),
        back=escape(back),
        said=_said(words, said),
        sso="" if sso is None else _sso(words, sso, back, provider, go),
        focus=" autofocus" if sso is None else "",
        main=' class="main"' if sso is None else "",
        script=SCRIPT,
        **plain,
    )


def _said(words: dict[str, str], said: str) -> str:
    if said == "signed_out":
        return f'<p class="note" role="status">{escape(words[said])}</p>\n'
    return f'<p class="wrong" role="alert">{escape(words[said])}</p>\n' if said in PROBLEMS else ""


def _sso(words: dict[str, str], start: str, back: str, provider: str, go: bool) -> str:
    label = words["sso_with"].format(name=provider) if provider else words["sso"]
    address = start if back == "/" else f"{start}?{urlencode({'next': back})}"
    at_once = " data-go" if go else ""
    link = f'<a class="sso main" href="{escape(address)}" autofocus{at_once}>{escape(label)}</a>'
    return f'{link}\n<p class="or">{escape(words["or"])}</p>'
