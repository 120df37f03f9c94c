"""The words of the account menu, in English and Chinese."""

from __future__ import annotations

TEXTS = {
    "en": {
        "sign_out": "Sign out",
        "account": "Your account: {name}",
        "role": "Signed in",
        "role.admin": "Administrator",
        "role.staff": "Support staff",
        "role.service": "Program",
        "ended": "Your sign-in has ended.",
        "ended_more": "What you have typed stays here: sign in again in a new tab, then go on.",
        "sign_in_again": "Sign in again",
    },
    "zh": {
        "sign_out": "退出登录",
        "account": "你的账号：{name}",
        "role": "已登录",
        "role.admin": "管理员",
        "role.staff": "客服人员",
        "role.service": "程序",
        "ended": "登录已失效。",
        "ended_more": "你输入的内容会保留在这里：请在新标签页中重新登录，然后回来继续。",
        "sign_in_again": "重新登录",
    },
}
