#!/bin/sh
# Every NAME_FILE=/run/secrets/... becomes NAME with that file's content, since secrets come as files; then the command
# runs as process 1.
set -eu
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)_FILE=\/run\/secrets\/.*/\1/p'); do
    file=''
    eval "file=\${${name}_FILE}"
    [ -r "$file" ] || { echo "entrypoint: ${name}_FILE names $file, which this user cannot read" >&2; exit 1; }
    value=$(cat "$file")
    export "$name=$value"
    unset "${name}_FILE"
done
exec "$@"
