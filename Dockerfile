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
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sluice
COPY --from=build /opt/sluice /opt/sluice
ENV PATH=/opt/sluice/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8080)}/health', timeout=2)"]
# A container listens for others, so it needs SLUICE_MASTER_KEY; without one Sluice says so and stops.
ENTRYPOINT ["sluice"]
CMD ["serve", "--host", "0.0.0.0"]
