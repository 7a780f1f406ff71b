# The builder and its marketplace. Training wants a GPU image of its own: this one has no torch. Backups of a store in
# PostgreSQL are pg_dump's, whose version must not be older than the server's.
FROM python:3.11-slim-bookworm
RUN apt-get update \
 && apt-get install -y --no-install-recommends wordnet-base postgresql-client \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE ./
COPY wordnet_synsets wordnet_synsets
COPY hits hits
COPY imagenet_builder imagenet_builder
COPY migrations migrations
RUN pip install --no-cache-dir -c constraints.txt '.[postgres]'
RUN useradd --create-home --uid 1000 builder && mkdir /project && chown builder /project
USER builder
WORKDIR /project
ENTRYPOINT ["imagenet-builder"]
CMD ["--help"]
