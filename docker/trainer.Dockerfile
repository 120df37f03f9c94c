# Fine-tuning with ms-swift and Megatron: Transformer Engine compiled against the torch that is trained with.
#   docker build -f docker/trainer.Dockerfile --build-arg NVTE_CUDA_ARCHS=90 -t docduet-trainer .
#   docker run --gpus all --shm-size 16g -v docduet-runs:/var/lib/docduet docduet-trainer sft doctor
# NVTE_CUDA_ARCHS: 80 for A100, 90 for H100 and H200, "90;100" for both with B200.
FROM nvidia/cuda:13.0.2-devel-ubuntu24.04 AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG NVTE_CUDA_ARCHS=90
ARG MAX_JOBS
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git python3.12-dev python3.12-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf docker/install-trainer.sh python3.12 /opt/docduet

FROM nvidia/cuda:13.0.2-base-ubuntu24.04
# Triton compiles small launchers: that takes a C compiler and Python's headers.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc git libc6-dev libgomp1 python3.12-dev python3.12-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/docduet docduet
COPY docker/entrypoint.sh /usr/local/bin/entrypoint
COPY --from=build /opt/docduet /opt/docduet
ENV PATH=/opt/docduet/bin:$PATH \
    DOCDUET_HOME=/var/lib/docduet \
    MODELSCOPE_CACHE=/var/lib/docduet/cache/modelscope \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/docduet
VOLUME /var/lib/docduet
# A run of hours is healthy while its process lives and the GPU answers.
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s --retries=3 CMD ["nvidia-smi", "-L"]
ENTRYPOINT ["entrypoint", "docduet"]
CMD ["sft", "doctor"]
