FROM python:3.12-slim AS build
# For Linux on amd64 every dependency comes as a wheel; on arm64 faust-streaming has none and is compiled here.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# Without pip, so that the runtime image has nothing that installs packages into this environment.
RUN python -m venv --without-pip /opt/loyalty
COPY requirements.lock ./
RUN pip --python /opt/loyalty/bin/python install --require-hashes --requirement requirements.lock

# The build back end, at the version and hashes of the development lock; an isolated build would fetch any.
COPY requirements-dev.lock ./
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.lock > backend.lock \
    && pip install --require-hashes --requirement backend.lock

COPY pyproject.toml README.md LICENSE ./
COPY shared/ shared/
COPY services/ services/
COPY cli/ cli/
COPY devstack/ devstack/
COPY programs/ programs/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && pip --python /opt/loyalty/bin/python install --no-deps wheels/*.whl


FROM python:3.12-slim
# A number that stays the same: owners of mounted files, and Kubernetes' runAsNonRoot, need one.
RUN groupadd --gid 10001 loyalty \
    && useradd --uid 10001 --gid loyalty --no-create-home --home-dir /app --shell /usr/sbin/nologin loyalty
COPY --from=build /opt/loyalty /opt/loyalty
WORKDIR /app
COPY programs/ programs/

# The pages must be reachable from other containers; which ports the world sees is decided outside the image.
ENV PATH=/opt/loyalty/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LOYALTY_WEB_HOST=0.0.0.0 \
    LOYALTY_WEB_PORT=6066
EXPOSE 6066
USER 10001:10001

# In shell form, so that a changed LOYALTY_WEB_PORT is followed. The image has no curl.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:${LOYALTY_WEB_PORT}/healthz', timeout=4)"

# Any other service likewise: services.redeem.app, services.tiers.app, services.notify.app.
CMD ["faust", "--quiet", "-A", "services.earn.app", "worker"]
