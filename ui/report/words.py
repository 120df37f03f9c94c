"""The words around the report, in English and Chinese; its own are the gateway's."""

from __future__ import annotations

TEXTS = {
    "en": {
        "panel.report": "Report",
        "report.bar": "What the report counts, and downloads",
        "report.since": "Period",
        "report.since.": "All time",
        "report.since.24h": "24 hours",
        "report.since.7d": "7 days",
        "report.since.30d": "30 days",
        "report.since.90d": "90 days",
        "report.download": "Download",
        "report.html": "Page (HTML)",
        "report.png": "Chart (PNG)",
        "report.csv": "Numbers (CSV)",
        "report.json": "Everything (JSON)",
        "report.waiting": "Counting…",
        "report.failed": "The report could not be loaded",
        "report.again": "Try again",
    },
    "zh": {
        "panel.report": "报告",
        "report.bar": "报告的范围和下载",
        "report.since": "时间范围",
        "report.since.": "全部时间",
        "report.since.24h": "24 小时",
        "report.since.7d": "7 天",
        "report.since.30d": "30 天",
        "report.since.90d": "90 天",
        "report.download": "下载",
        "report.html": "网页 (HTML)",
        "report.png": "图表 (PNG)",
        "report.csv": "数据 (CSV)",
        "report.json": "全部 (JSON)",
        "report.waiting": "正在统计…",
        "report.failed": "无法加载报告",
        "report.again": "重试",
    },
}
