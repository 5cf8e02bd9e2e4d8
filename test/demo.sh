#!/bin/sh
# Boots the example web server as a virtual machine, shows its answer, and
# stops it.
set -eu
kiln=$1
log=$(mktemp)
"$kiln" run -p 0:8080 ./examples/webserver >"$log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null || true; wait $pid 2>/dev/null || true; rm -f "$log"' EXIT
echo "demo: kiln run -p 0:8080 ./examples/webserver"
i=0
while :; do
	url=$(sed -n 's/.*\(127\.0\.0\.1:[0-9]*\).*/http:\/\/\1/p' "$log" | head -n 1)
	if [ -n "$url" ] && answer=$(curl -fsS --max-time 2 "$url/" 2>/dev/null); then
		break
	fi
	i=$((i + 1))
	if [ $i -gt 600 ] || ! kill -0 $pid 2>/dev/null; then
		echo "demo: the web server did not answer; this is what it printed:" >&2
		cat "$log" >&2
		exit 1
	fi
	sleep 0.2
done
echo "demo: curl $url/"
echo "$answer"
