# Two stages: the first installs exactly the locked files, the second carries only what runs.
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/sluice
COPY deploy/requirements.txt deploy/requirements.txt
RUN /opt/sluice/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
      -r deploy/requirements.txt
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY providers providers
COPY cache cache
RUN /opt/sluice/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
 && /opt/sluice/bin/pip uninstall --yes --quiet setuptools pip

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Sluice" org.opencontainers.image.licenses="MIT"
# What the gateway keeps for its clients lies in /app/data (storage.path is data/sluice.db). A new volume takes over its
# owner; the group is root's, which is what platforms give that choose a user of their own.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sluice \
 && install --directory --owner=10001 --group=0 --mode=0770 /app/data
COPY --from=build /opt/sluice /opt/sluice
ENV PATH=/opt/sluice/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /app
VOLUME /app/data
EXPOSE 8080
# http.client asks the port itself; other clients would obey http_proxy.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import os; from http.client import HTTPConnection as C; c = C('127.0.0.1', int(os.environ.get('PORT') or '8080'), timeout=2); c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"]
# `docker stop` kills after 10 seconds, the drain may take 30: run with --stop-timeout 35.
# A container listens for others, so it needs SLUICE_MASTER_KEY; without one Sluice says so and stops.
ENTRYPOINT ["sluice"]
CMD ["serve", "--host", "0.0.0.0"]
