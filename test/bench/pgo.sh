#!/bin/sh
# Makes cmd/kernel/default.pgo, by which the compiler decides what to inline in the
# kernel for Linux programs: the CPU profile of that kernel under the programs of
# the benchmark, with 1 and 2 CPUs. It matters as long as the profile resembles the
# code, so now and then is often enough. Run it from the repository's root, with
# gcc, curl, redis, nginx and wrk installed. It takes two minutes.
set -eu

work=/tmp/kiln-pgo # its name gets into the profile
mkdir "$work"
machine=
trap 'test -z "$machine" || kill "$machine" 2>/dev/null || true; rm -rf "$work"' EXIT
port=$((20000 + $$ % 10000))
go build -tags kiln_profile -o "$work/kiln" ./cmd/kiln
gcc -O2 -static -pthread -o "$work/micro" test/bench/elf/micro.c
mkdir "$work/www" "$work/cache" "$work/log"
export XDG_CACHE_HOME="$work/cache"
head -c 612 /dev/zero | tr '\0' x >"$work/www/index.html"
cat >"$work/nginx.conf" <<'END'
daemon off;
master_process off;
user root;
pid /tmp/nginx.pid;
events { worker_connections 512; }
http {
	access_log off;
	sendfile on;
	client_body_temp_path /tmp/1;
	proxy_temp_path /tmp/2;
	fastcgi_temp_path /tmp/3;
	uwsgi_temp_path /tmp/4;
	scgi_temp_path /tmp/5;
	server { listen 80; root /www; }
}
END

# start CLIENT PROGRAM...: boots the program, and waits until the client has an answer.
start() {
	client=$1
	shift
	"$work/kiln" run -q -c "$cpus" -m 256 -p "$port:80" "$@" >"$work/out" &
	machine=$!
	for _ in $(seq 600); do
		if timeout 1 $client >/dev/null 2>&1; then return; fi
		sleep 0.1
	done
	echo "pgo: $* does not answer" >&2
	exit 1
}

# stop NAME: ends it, and takes its profile.
stop() {
	kill "$machine"
	wait "$machine" || true
	machine=
	take "$1"
}

take() { sed '1,/^PROFILE/d' "$work/out" | base64 -d >"$work/$1.$cpus.prof"; }

for cpus in 1 2; do
	"$work/kiln" run -q -c "$cpus" -m 256 "$work/micro" >"$work/out"
	take micro
	start "redis-cli -p $port ping" /usr/bin/redis-server -- --port 80 --bind 0.0.0.0 --protected-mode no --save '' --dir /tmp
	redis-benchmark -p "$port" -n 60000 -t get,set --csv
	redis-benchmark -p "$port" -n 400000 -P 16 -t get,set --csv
	stop redis
	start "curl -s http://127.0.0.1:$port/" -v "$work/nginx.conf:/nginx.conf" -v "$work/www:/www" -v "$work/log:/var/log/nginx" /usr/sbin/nginx -- -e stderr -c /nginx.conf
	wrk -t1 -c32 -d10s "http://127.0.0.1:$port/index.html"
	stop nginx
done
# The calls that micro makes run for a second each, and count as much as the servers.
m=$work/micro.*.prof
go tool pprof -proto -output=cmd/kernel/default.pgo "$work"/*.prof $m $m $m $m
