#!/bin/sh
# Fills in the krew manifest of a release, and prints it.
#
#   fill.sh VERSION BASE-URL DIRECTORY
#
# VERSION is such as v0.1.0. DIRECTORY holds the archives of kubectl-passport for every platform in passport.yaml, as
# `make release` names them; BASE-URL is where they are published. It fails where one is missing.
set -eu

if [ $# -ne 3 ]; then
  echo "usage: fill.sh VERSION BASE-URL DIRECTORY" >&2
  exit 64
fi
version=$1 base=$2 directory=$3
template=$(dirname "$0")/passport.yaml

# What replaces each placeholder, as a script for sed.
script="s|VERSION\$|$version|"
for platform in $(sed -n 's/^ *uri: URL_//p' "$template"); do
  case $platform in windows_*) suffix=zip ;; *) suffix=tar.gz ;; esac
  archive=kubectl-passport_${version#v}_$platform.$suffix
  if [ ! -f "$directory/$archive" ]; then
    echo "fill.sh: $directory has no $archive" >&2
    exit 1
  fi
  sum=$(sha256sum "$directory/$archive" | cut -d' ' -f1)
  script="$script
s|URL_$platform\$|$base/$archive|
s|SHA256_$platform\$|$sum|"
done
# The comment at the top is about the template.
grep -v '^#' "$template" | sed "$script"
