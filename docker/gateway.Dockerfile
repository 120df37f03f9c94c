# DocDuet's gateway, chat app and builder, for machines without a GPU.
#   docker build -f docker/gateway.Dockerfile -t docduet-gateway .
# Packages come from PyPI, or from the index that PIP_INDEX_URL or the secret pip_conf names. With the index of PyTorch's
# CPU builds in PIP_EXTRA_INDEX_URL the image is some 3 GB smaller.
FROM python:3.11.14-slim-bookworm AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
COPY . .
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf docker/install-gateway.sh python3 /opt/docduet

FROM python:3.11.14-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/docduet docduet \
    && install -d -o docduet -g docduet /var/lib/docduet/index /var/lib/docduet/runs
COPY docker/entrypoint.sh /usr/local/bin/entrypoint
COPY --from=build /opt/docduet /opt/docduet
ENV PATH=/opt/docduet/bin:$PATH \
    DOCDUET_HOME=/var/lib/docduet \
    GRADIO_ANALYTICS_ENABLED=False \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/docduet
VOLUME /var/lib/docduet
EXPOSE 7860
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["entrypoint", "docduet"]
CMD ["serve", "--host", "0.0.0.0"]
