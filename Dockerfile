FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE worker.py ./
COPY connector connector
RUN python -m venv /opt/connector && /opt/connector/bin/pip install --no-cache-dir -c constraints.txt '.[postgres,redis]'

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home connector
COPY --from=build /opt/connector /opt/connector
ENV PATH=/opt/connector/bin:$PATH PYTHONUNBUFFERED=1 CONNECTOR_CONFIG=/etc/connector/config.yaml
WORKDIR /var/lib/connector
USER 10001
EXPOSE 8000
CMD ["connector", "up", "--host", "0.0.0.0"]
