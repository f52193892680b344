# One image: serve, worker, migrate. Every RUN line is a Makefile target that CI runs.
#   docker run -e DATABASE_URL=... -e TRIAGE_TOKEN_KEY=... -e TRIAGE_ENCRYPTION_KEY=... -p 8000:8000 triage
#   docker run ... triage worker      docker run -e MIGRATION_DATABASE_URL=... ... triage migrate
FROM python:3.11-bookworm
WORKDIR /srv/triage
COPY Makefile pyproject.toml requirements.txt README.md alembic.ini ./
COPY app app
COPY models models
COPY ml ml
COPY migrations migrations
RUN make env
ENV HOST=0.0.0.0 PORT=8000 TRIAGE_DATA=/data
# nobody: owns nothing, and has the passwd entry that the bundled PostgreSQL asks for
USER 65534:65534
EXPOSE 8000
ENTRYPOINT [".venv/bin/triage"]
CMD ["serve"]
