# One image for every process of hipway: web, worker, sweep, migrate and the commands of a person.
#   docker build -t hipway:0.1.0 .
# It holds Python, one virtual environment and nothing that installs or builds. It runs as a user without
# privileges, on a read-only root file system with a writable /tmp; docker-compose.yml shows how.

# The minor version is chosen here, so that a rebuild brings the security fixes of Python and Debian.
FROM python:3.13-slim-trixie AS builder
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
# Every package is the one of the lock, by its hash. The code comes last: a change of it installs nothing again.
COPY requirements.lock ./
COPY .ci/container_lock.py .ci/
RUN python .ci/container_lock.py requirements.lock build > build.lock && \
    python .ci/container_lock.py requirements.lock run > run.lock
RUN python -m pip install --quiet --require-hashes --target /build/tools -r build.lock
RUN /build/tools/bin/uv venv --quiet --python python3 /opt/hipway && \
    /build/tools/bin/uv pip install --quiet --python /opt/hipway/bin/python --require-hashes -r run.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY fhir_profiles fhir_profiles
COPY pathways pathways
COPY service service
COPY worker worker
RUN PYTHONPATH=/build/tools python -m hatchling build --target wheel --directory dist && \
    /build/tools/bin/uv pip install --quiet --python /opt/hipway/bin/python --no-deps --no-index dist/*.whl
# Nothing can be compiled on a read-only file system. The hash makes the result independent of dates.
RUN /opt/hipway/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/hipway/lib

FROM python:3.13-slim-trixie
ARG REVISION=""
LABEL org.opencontainers.image.title="hipway" \
      org.opencontainers.image.description="A FHIR R4 care-pathway service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}"
# Nothing here can install a package. The base image comes without compiled files of the standard library, which
# every health check would otherwise compile anew.
RUN python -m pip uninstall --quiet --yes --root-user-action ignore pip && \
    library="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" && \
    rm -r "$library/ensurepip" && \
    python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/site-packages/' "$library"
# The number is fixed: folders and secrets outside are given to it. /secrets is where a volume is mounted, and
# a new volume takes its owner from here.
RUN groupadd --gid 10001 hipway && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hipway && \
    install --directory --owner 10001 --group 10001 --mode 0750 /secrets
COPY --from=builder /opt/hipway /opt/hipway
# Data are in the servers; /tmp is all that can be written here.
ENV PATH=/opt/hipway/bin:$PATH \
    HIPWAY_DATA=/tmp/hipway \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /opt/hipway
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["hipway"]
CMD ["--help"]
