# Two stages: the first installs what a lock names, the second runs it as nobody in particular. The lock is that of the
# core; with PostgreSQL, Redis and traces it is `docker build --build-arg REQUIREMENTS=requirements-all.lock`.
FROM python:3.13-slim AS build
ARG REQUIREMENTS=requirements.lock
COPY ${REQUIREMENTS} /build/requirements.lock
RUN python -m venv /venv
RUN /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /build/requirements.lock
RUN mkdir /build/data

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    REPLIGATE_DATA_DIR=/data \
    REPLIGATE__SERVER__HOST=0.0.0.0 \
    REPLIGATE__SERVER__PORT=8000
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 /build/data /data
COPY LICENSE config.toml ./
COPY adapters ./adapters
COPY gateway ./gateway
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f\"http://127.0.0.1:{os.environ['REPLIGATE__SERVER__PORT']}/health/live\", timeout=4)"]
CMD ["python", "-m", "gateway", "serve"]
