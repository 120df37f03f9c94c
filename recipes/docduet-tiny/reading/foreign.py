"""Questions that no documentation of the corpus answers: everyday ones, and about products and terms made up."""

from __future__ import annotations

import random

from sft.rules.unanswerable import TECH

_EVERYDAY = {
    "en": (
        "How long do I boil an egg?",
        "What is the tallest mountain in Africa?",
        "Who painted the Sistine Chapel?",
        "Which train goes from Vienna to Prague?",
        "How do I remove red wine stains?",
        "When does the museum open?",
        "What should I feed a hedgehog?",
        "How far is the moon?",
        "Which team won the cup last year?",
        "Tell me a joke.",
        "How do I renew my passport?",
        "What's the weather tomorrow?",
        "Can you recommend a restaurant nearby?",
        "How much is a stamp to Canada?",
        "Who wrote Don Quixote?",
        "How do I treat a sunburn?",
        "What is my horoscope?",
        "How many calories does a banana have?",
        "Which tyre pressure does my car need?",
        "How do I tie a bow tie?",
    ),
    "zh": (
        "鸡蛋要煮多久？",
        "非洲最高的山是哪座？",
        "西斯廷教堂是谁画的？",
        "去上海的高铁几点开？",
        "红酒渍怎么洗？",
        "博物馆几点开门？",
        "刺猬吃什么？",
        "月球有多远？",
        "去年的冠军是谁？",
        "讲个笑话吧。",
        "护照怎么续签？",
        "明天天气怎么样？",
        "附近有什么好吃的？",
        "寄到加拿大的邮票多少钱？",
        "《红楼梦》的作者是谁？",
        "晒伤了怎么办？",
        "香蕉有多少热量？",
        "汽车胎压应该是多少？",
        "领带怎么打？",
    ),
}
_OFFICE = {
    "en": (
        "What does the {level} plan cost?",
        "How do I get a refund?",
        "What is the phone number of support?",
        "Where is your head office?",
        "How many people work on {x}?",
        "Who is in charge of {x}?",
        "Is there a discount for {level} customers?",
        "Which certificates does the company hold?",
        "How do I cancel my subscription to {x}?",
        "When is the next release party of {x}?",
        "Can I pay by {pay}?",
        "What is the warranty on {x}?",
        "Does the {level} licence include {x}?",
        "Which training courses exist for {x}?",
    ),
    "zh": (
        "{level}版多少钱？",
        "怎么申请退款？",
        "客服电话多少？",
        "公司总部在哪里？",
        "{x}团队有多少人？",
        "谁负责{x}？",
        "{level}客户有优惠吗？",
        "公司有哪些资质证书？",
        "怎么取消{x}的订阅？",
        "可以用{pay}付款吗？",
        "{x}的保修期是多久？",
        "{level}授权包含{x}吗？",
        "{x}有培训课程吗？",
        "怎么开{x}的发票？",
    ),
}
_WITH = {
    "en": (
        "How do I connect this to {x}?", "Is there a plugin for {x}?", "Does it run on {os}?", "Can I import data from {x}?",
        "How do I deploy it with {x}?", "What does the option --{made} do?", "What does error {code} mean?",
        "How do I send alerts to {x}?", "Which version of {x} is needed?", "How do I set `{made}`?",
        "How do I export everything to {x}?", "Where is {made} configured?", "Is {x} faster on {os}?",
    ),
    "zh": (
        "怎么接入{x}？", "有{x}的插件吗？", "能在{os}上运行吗？", "可以从{x}导入数据吗？", "怎么用{x}部署？", "--{made} 参数有什么用？",
        "错误码 {code} 是什么意思？", "怎么把告警发到{x}？", "需要哪个版本的{x}？", "`{made}` 怎么设置？", "怎么全部导出到{x}？",
        "{made}在哪里配置？",
    ),
}  # fmt: skip
_LEVELS = {
    "en": ("premium", "enterprise", "business", "basic", "education", "gold"),
    "zh": ("企业", "专业", "高级", "教育", "基础"),
}
_PAY = {"en": ("credit card", "invoice", "PayPal", "bank transfer"), "zh": ("支付宝", "信用卡", "对公转账", "微信")}
_OS = ("OS/2", "Windows 98", "AmigaOS", "an iPad", "HarmonyOS", "a smart TV", "MS-DOS", "z/OS")
_WORDS = "turbo mega flux dragon ultra nebula quokka vortex hyper laser panda rocket cosmic magic silent golden".split()


def foreign_questions(lang: str, rng: random.Random) -> list[str]:
    """Three candidates, one of each sort."""
    made = "_".join(rng.sample(_WORDS, 2)) + rng.choice(("", "_mode", "_level", "_limit"))
    slots = {
        "x": rng.choice(TECH),
        "os": rng.choice(_OS),
        "pay": rng.choice(_PAY[lang]),
        "level": rng.choice(_LEVELS[lang]),
        "made": made,
        "code": f"{rng.choice(_WORDS).upper()}_{rng.randint(1000, 9999)}",
    }
    return [
        rng.choice(_EVERYDAY[lang]),
        rng.choice(_OFFICE[lang]).format(**slots),
        *(rng.choice(_WITH[lang]).format(**slots) for _ in range(2)),
    ]
