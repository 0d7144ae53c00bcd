#!/bin/sh
# Builds the image NAME for PLATFORMS (such as "linux/amd64 linux/arm64"): static binaries first,
# then an image of nothing else, with the first of buildah, podman and docker that is there. With SOURCE_DATE_EPOCH,
# buildah gives the same image for the same source.
set -eu
cd "$(dirname "$0")/.."
name=$1
platforms=$2

for platform in $platforms; do
  os=${platform%%/*}
  arch=${platform##*/}
  echo "image: building for $platform"
  for command in manager auditlog gateway; do
    CGO_ENABLED=0 GOOS="$os" GOARCH="$arch" \
      go build -trimpath -ldflags='-s -w -buildid=' -o "dist/image/${os}_${arch}/$command" "./cmd/$command"
  done
done

list=$(echo "$platforms" | tr ' ' ',')
case $platforms in *' '*) several=yes ;; *) several=no ;; esac

if command -v buildah >/dev/null 2>&1; then
  # Without a daemon, and without the privileges that namespaces and overlays need.
  set -- --isolation chroot --storage-driver vfs ${SOURCE_DATE_EPOCH:+--timestamp "$SOURCE_DATE_EPOCH"}
  if [ "$several" = yes ]; then
    buildah --storage-driver vfs manifest rm "$name" >/dev/null 2>&1 || true
    set -- "$@" --manifest "$name"
  else
    set -- "$@" --tag "$name"
  fi
  for platform in $platforms; do
    buildah bud "$@" --platform "$platform" \
      --build-arg TARGETOS="${platform%%/*}" --build-arg TARGETARCH="${platform##*/}" --file Containerfile .
  done
elif command -v podman >/dev/null 2>&1; then
  if [ "$several" = yes ]; then
    podman manifest rm "$name" >/dev/null 2>&1 || true
    podman build --platform "$list" --manifest "$name" --file Containerfile .
  else
    podman build --platform "$list" --tag "$name" --file Containerfile .
  fi
elif command -v docker >/dev/null 2>&1; then
  docker buildx build --platform "$list" --tag "$name" --file Containerfile .
else
  echo "image: none of buildah, podman and docker is here" >&2
  exit 1
fi
echo "image: built $name for $platforms"
