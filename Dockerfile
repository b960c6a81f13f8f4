# The gateway in a container, run as systemd runs it: docs/operate/scale.md#containers.
FROM python:3.11-slim-bookworm

# Letters of the PDF of a price list.
RUN apt-get update && apt-get install --yes --no-install-recommends fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
COPY . /src
# Twisted keeps a list of its plugins, which the user that installs it must write.
RUN pip install --no-cache-dir "/src[postgresql,s3]" && twistd --help > /dev/null && rm -rf /src
RUN useradd --system --create-home --home-dir /var/lib/smsgw --shell /usr/sbin/nologin smsgw
COPY etc/smsgw.toml /etc/smsgw/smsgw.toml

USER smsgw
# Store, key and media are in var/ here.
WORKDIR /var/lib/smsgw
VOLUME /var/lib/smsgw
EXPOSE 2775 8080 2525

# No pid file: in a container the new process often has the number of the old one. Stopped by SIGTERM.
ENTRYPOINT ["twistd", "--nodaemon", "--pidfile=", "smsgw", "-c", "/etc/smsgw/smsgw.toml"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["smsgw", "-c", "/etc/smsgw/smsgw.toml", "health"]
