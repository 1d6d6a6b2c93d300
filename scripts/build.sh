#!/usr/bin/env bash
# Publishes the two executables ahead of time compiled, and the drivers' manifests, to artifacts/bin/.
# Does nothing when they are newer than every source.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly OUT=artifacts/bin
readonly STAMP=artifacts/publish/.stamp
readonly INPUTS=(src Directory.Build.props Directory.Packages.props global.json scripts/build.sh)

usage() {
  cat <<'USAGE'
Usage: scripts/build.sh [--force]

Makes artifacts/bin/xinim, artifacts/bin/xinim-driver and artifacts/bin/drivers/*.json.
  --force   publish even if nothing changed
USAGE
}

# Folders count as well as files, so that a deleted file is a change.
is_current() {
  [[ -x $OUT/xinim && -x $OUT/xinim-driver && -d $OUT/drivers && -f $STAMP ]] &&
    [[ -z "$(find "${INPUTS[@]}" -newer "$STAMP" -print -quit)" ]]
}

# Publishes project $1 and puts its executable $2, with the native libraries that it needs, beside the others.
# A running copy keeps its file: the new one is moved over it.
publish() {
  local from="artifacts/publish/$1" file
  rm -rf "$from"
  # Without --runtime: that would reach the libraries as well, whose lock files know of none.
  dotnet publish "src/$1" --configuration Release --output "$from" --verbosity quiet --nologo
  for file in "$from/$2" "$from"/*.so; do
    [[ -e "$file" ]] || continue
    install -m 755 "$file" "$OUT/.new"
    mv "$OUT/.new" "$OUT/${file##*/}"
  done
}

copy_manifests() {
  local manifest
  rm -rf "$OUT/drivers"
  mkdir -p "$OUT/drivers"
  for manifest in src/Xinim.DriverHost/manifests/*.json; do
    [[ ! -e "$manifest" ]] || install -m 644 "$manifest" "$OUT/drivers/"
  done
}

case "${1:-}" in
  '') if is_current; then exit 0; fi ;;
  --force) ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

# Linking needs a C compiler and zlib.
if [[ -x scripts/install.sh ]]; then scripts/install.sh build; fi
mkdir -p "$OUT" "$(dirname "$STAMP")"
# Taken before the build: what changes meanwhile is built the next time.
touch "$STAMP.started"
publish Xinim.Host xinim
publish Xinim.DriverHost xinim-driver
copy_manifests
mv "$STAMP.started" "$STAMP"
