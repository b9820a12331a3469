#!/bin/sh
# Fetches Swagger UI anew: ./refresh.sh 5.35.0
set -eu
version=${1:?which version}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "swagger-ui-dist@$version" >/dev/null
tar xzf swagger-ui-dist-*.tgz
cd package
cp swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt swagger-ui.css LICENSE NOTICE "$here"
chmod 644 "$here"/swagger-ui* "$here/LICENSE" "$here/NOTICE"
echo "swagger-ui-dist $version" >"$here/VERSION"
