# vLLM for one or more NVIDIA GPUs, and Ray to spread it over several machines.
#   docker build -f docker/engine.Dockerfile -t docduet-engine .
# CUDA 13 comes with vLLM's own wheels; the host brings the driver (580 or newer) and NVIDIA's container toolkit.
FROM python:3.12.12-slim-bookworm AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
COPY constraints constraints
COPY docker/install-engine.sh docker/
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf docker/install-engine.sh python3 /opt/engine

FROM python:3.12.12-slim-bookworm
# Triton compiles small launchers when a model is loaded: that takes a C compiler.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libgomp1 libnuma1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/engine engine \
    && install -d -o engine -g engine /var/lib/engine/models
COPY docker/entrypoint.sh /usr/local/bin/entrypoint
COPY --from=build /opt/engine /opt/engine
ENV PATH=/opt/engine/bin:$PATH \
    HF_HOME=/var/lib/engine/models \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all \
    PYTHONSAFEPATH=1 \
    VLLM_DO_NOT_TRACK=1 \
    VLLM_USE_FLASHINFER_SAMPLER=0
USER 10001
WORKDIR /var/lib/engine
VOLUME /var/lib/engine/models
EXPOSE 8000
# Loading 16 GB of weights and compiling takes minutes.
HEALTHCHECK --interval=10s --timeout=5s --start-period=900s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["entrypoint"]
CMD ["vllm", "serve", "Qwen/Qwen3-8B", "--served-model-name", "base", "--max-model-len", "16384", "--enable-prefix-caching"]
