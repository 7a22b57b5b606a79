# The base of all stages.
FROM python:3.11-slim AS mljupyter-base
USER root

# The installer of packages. It is not part of the image.
FROM mljupyter-base AS mljupyter-tools
LABEL "mljupyter/server"="tools"
RUN python3 -m venv /opt/mljupyter/tools

# The environment of the scoring server, separate from the model's packages.
FROM mljupyter-tools AS mljupyter-server
LABEL "mljupyter/server"="front"
COPY server-requirements.txt /tmp/mljupyter/
RUN python3 -m venv --without-pip /opt/mljupyter/server \
 && /opt/mljupyter/tools/bin/python -m pip --python /opt/mljupyter/server/bin/python install --no-cache-dir --progress-bar off --requirement /tmp/mljupyter/server-requirements.txt

# The packages that the scoring script needs.
FROM mljupyter-tools AS mljupyter-environment
LABEL "mljupyter/environment"="<environment>"
COPY requirements.txt /tmp/mljupyter/
RUN "$(command -v python3.11 || command -v python3)" -m venv --without-pip /opt/environment \
 && /opt/mljupyter/tools/bin/python -m pip --python /opt/environment/bin/python install --no-cache-dir --progress-bar off --requirement /tmp/mljupyter/requirements.txt

# The image: content that never changes first, then environments, server, models, code.
FROM mljupyter-base
WORKDIR /opt/mljupyter
RUN install -d -o 10001 -g 10001 /var/azureml-app
USER 10001:10001
EXPOSE 5001
HEALTHCHECK --interval=10s --timeout=3s \
            --start-period=310s --retries=3 \
    CMD ["/opt/mljupyter/server/bin/python", "-I", "-c", "import sys, http.client as c; h = c.HTTPConnection('127.0.0.1', 5001, timeout=2); h.request('GET', '/'); sys.exit(h.getresponse().status != 200)"]
ENTRYPOINT ["/opt/mljupyter/server/bin/python", "-m", "mljupyter.scoring", "--host", "0.0.0.0", "--port", "5001", "--worker-python", "/opt/environment/bin/python"]
CMD []
COPY --from=mljupyter-server /opt/mljupyter/server /opt/mljupyter/server
COPY --from=mljupyter-environment /opt/environment /opt/environment
COPY mljupyter-scoring/ /opt/mljupyter/scoring/
COPY azureml-models/ /var/azureml-app/azureml-models/
COPY --chown=10001:10001 azureml-app/ /var/azureml-app/
ENV HOME="/tmp" \
    USER="mljupyter" \
    PYTHONUNBUFFERED="1" \
    AML_APP_ROOT="/var/azureml-app" \
    AZUREML_MODEL_DIR="/var/azureml-app/azureml-models/scale/3" \
    AZUREML_ENTRY_SCRIPT="score.py" \
    PYTHONPATH="/opt/mljupyter/scoring"
LABEL "mljupyter/plan"="<plan>" \
      "mljupyter/environment"="<environment>" \
      "mljupyter/replica-key"="1" \
      "mljupyter/models"="scale:3" \
      "org.opencontainers.image.title"="mljupyter scoring image" \
      "org.opencontainers.image.base.name"="python:3.11-slim"
